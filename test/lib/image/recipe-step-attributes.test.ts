import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { noAttributes } from '../../../src/lib/image/copy-item.ts';
import { Attributes } from '../../../src/lib/image/guest-attributes.ts';
import { run } from '../../../src/lib/system/process.ts';
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../../../src/lib/system/tar-stream.ts';
import {
  ACL,
  CAPABILITY,
  DEFAULT_ACL,
  inHex,
  readAttributes,
  setAttributes,
} from '../../support/attributes.ts';
import { testAccounts } from '../../support/cli.ts';
import { makeRootfs } from '../../support/images.ts';
import { type Refused, StepBox } from '../../support/step-box.ts';

const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';
const NOTHING = Buffer.alloc(0);
const BINARY = Buffer.from([0, 0xff, 0x0a, 0, 0x3d]);
const CAPABLE = { 'security.capability': CAPABILITY, 'user.origin': Buffer.from('a stage') };
const CAPABLE_SOURCES = { '/src/capable': CAPABLE, '/src/sub/binary': { 'user.binary': BINARY } };
const ACL_SOURCES = {
  '/src/shared': { [ACCESS]: ACL },
  '/src/sub': { [DEFAULT]: DEFAULT_ACL, 'user.sub': BINARY },
};
const LABELED = {
  '/src/labeled': { 'security.selinux': Buffer.from('x'), 'trusted.x': BINARY, 'user.y': BINARY },
};

/** No system makes such a link. */
const OF_LINK = { '/src/link': { 'security.capability': CAPABILITY, [ACCESS]: ACL } };

function block(entry: Partial<Omit<TarEntry, 'name'>> & { name: string }, content: Buffer): Buffer[] {
  const { name, ...rest } = entry;
  const header = tarHeader({
    ...{ type: 'file', mode: 0o755, uid: 0, gid: 0, size: content.length, mtime: 1000, target: null },
    ...rest,
    name: Buffer.from(name),
  });
  return [header, content, Buffer.alloc(tarPadding(content.length))];
}

/** A header that has the type of pax records (POSIX.1-2017, pax, "pax Header Block"). */
function paxBlock(records: Readonly<Record<string, Buffer>>): Buffer[] {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
    const length = [1, 2, 3, 4, 5].find((digits) => String(rest.length + digits).length === digits) ?? 0;
    return Buffer.concat([Buffer.from(String(rest.length + length)), rest]);
  });
  const [header = NOTHING, ...others] = block({ name: 'pax' }, Buffer.concat(lines));
  header.write('x', 156, 'latin1');
  header.write(' '.repeat(8), 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return [header, ...others];
}

const xattr = (name: string): string => `SCHILY.xattr.${name}`;

const ARCHIVE = Buffer.concat([
  ...paxBlock({ [xattr('security.capability')]: CAPABILITY, [xattr('user.binary')]: BINARY }),
  ...block({ name: 'capable', uid: 12, gid: 12 }, Buffer.from('program')),
  ...paxBlock({ [xattr(ACCESS)]: ACL, [xattr('user.empty')]: NOTHING }),
  ...block({ name: 'shared', mode: 0o640 }, NOTHING),
  ...paxBlock({ [xattr('user.d')]: BINARY }),
  ...block({ name: 'sub/', type: 'directory' }, NOTHING),
  // It comes once more, without any.
  ...paxBlock({ [xattr('security.capability')]: CAPABILITY }),
  ...block({ name: 'twice' }, NOTHING),
  ...block({ name: 'twice' }, NOTHING),
  ...paxBlock({
    [xattr('trusted.x')]: BINARY,
    'SCHILY.acl.access': BINARY,
    'LIBARCHIVE.xattr.user.z': BINARY,
  }),
  ...block({ name: 'left' }, NOTHING),
  TAR_END,
]);

/** A link to the guest's /etc is there already. */
const BEHIND = Buffer.concat([
  ...paxBlock({ [xattr('user.behind')]: BINARY }),
  ...block({ name: 'there/', type: 'directory' }, NOTHING),
  TAR_END,
]);

/** More than a value can have (limits.h, XATTR_SIZE_MAX). */
const LARGE = Buffer.concat([
  ...paxBlock({ [xattr('user.large')]: Buffer.alloc(65_537) }),
  ...block({ name: 'large' }, NOTHING),
  TAR_END,
]);

async function sourceImage(): Promise<string> {
  const directory = await mkdtemp(join(inject('testRun').directory, 'attributes-'));
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'src/sub'), { recursive: true });
  for (const name of ['capable', 'sub/binary', 'shared', 'labeled', 'plain']) {
    writeFileSync(join(tree, 'src', name), name);
  }
  symlinkSync('/etc/hostname', join(tree, 'src/link'));
  await run('ln', [join(tree, 'src/capable'), join(tree, 'src/second-name')]);
  await run('chmod', ['640', join(tree, 'src/shared')]);
  const image = await makeRootfs(join(directory, 'source.ext4'), { tree, sizeMiB: 16 });
  await setAttributes(image, { ...CAPABLE_SOURCES, ...ACL_SOURCES, ...LABELED, ...OF_LINK });
  await run('chmod', ['755', directory]);
  await run('chmod', ['644', image]);
  return image;
}

describe.each(testAccounts())('extended attributes, as $label', (account) => {
  const isRoot = account.uid === 0;
  let box: StepBox;
  let source: string;
  let failure: Refused;
  const of = (path: string): Promise<Record<string, string>> => readAttributes(box.path('rootfs.ext4'), path);
  const stat = async (path: string): Promise<string> => {
    const { stdout } = await run('debugfs', ['-R', `stat ${path}`, box.path('rootfs.ext4')]);
    return ['Mode', 'User', 'Group']
      .map((name) => new RegExp(`${name}: +(\\d+)`, 'u').exec(stdout)?.[1])
      .join(' ');
  };
  /** An ordinary user's filesystem takes all but ACLs. */
  const kept = (attributes: Record<string, Buffer>): Record<string, string> =>
    inHex(Object.fromEntries(Object.entries(attributes).filter(([name]) => isRoot || !name.includes('acl'))));

  beforeAll(async () => {
    source = await sourceImage();
    box = await StepBox.open(account, {
      context: { 'a.tar': ARCHIVE, 'a.tar.gz': gzipSync(ARCHIVE), behind: BEHIND, large: LARGE },
      images: { source, 0: source },
    });
    const outside = box.path('outside');
    mkdirSync(outside, { mode: 0o777 });
    writeFileSync(join(outside, 'capable'), 'of the host');
    await run('chown', ['-R', `${account.uid}:${account.gid}`, outside]);
    await box.sh(`mkdir -p /t/hostile /t/archived ${outside}; ln -s /etc/passwd /t/hostile/capable
      ln -s ${outside} /t/out; ln -s /etc /t/archived/there`);
    for (const text of [
      'COPY --from=source /src /t/image',
      'COPY --from=source /src/capable /t/renamed',
      'RUN true\nFROM x\nCOPY --from=0 --chown=12:34 /src/ /t/stage/',
      'COPY --from=source --chmod=600 /src/shared /src/capable /t/chmod/',
      'COPY --from=source /src/capable /t/hostile/',
      'COPY --from=source /src/capable /t/out/',
      'ADD a.tar /t/tar',
      'ADD --chown=12:34 a.tar.gz /t/gz',
      'ADD behind /t/archived',
    ]) {
      await box.steps(text);
    }
    failure = await box.refused('ADD large /t/large');
    await box.close();
  });
  afterAll(() => box.remove());

  test.each(['image', 'stage'])('are kept by COPY --from=%s', async (from) => {
    for (const [path, attributes] of Object.entries({ ...CAPABLE_SOURCES, ...ACL_SOURCES })) {
      expect([path, await of(path.replace('/src', `/t/${from}`))]).toEqual([path, kept(attributes)]);
    }
    expect(await of(`/t/${from}/second-name`)).toEqual(inHex(CAPABLE));
    expect(await of(`/t/${from}/plain`)).toEqual({});
    expect(await of('/t/renamed')).toEqual(inHex(CAPABLE));
    expect(await of(`/t/${from}`)).toEqual({});
  });

  test('leave owner and mode as they are to be', async () => {
    expect(await stat('/t/image/shared')).toBe('0640 0 0');
    expect(await stat('/t/stage/capable')).toBe('0644 12 34');
    expect(await stat('/t/chmod/shared')).toBe('0600 0 0');
    expect(await stat('/t/tar/capable')).toBe('0755 12 12');
    expect(await stat('/t/gz/shared')).toBe('0640 12 34');
    expect(await of('/t/chmod/capable')).toEqual(inHex(CAPABLE));
    // As chmod(2) does: the mask is what the group's bits are.
    const narrowed = Buffer.from(ACL);
    narrowed.writeUInt16LE(0, 4 + 4 * 8 + 2);
    expect(await of('/t/chmod/shared')).toEqual(kept({ [ACCESS]: narrowed }));
  });

  test.each(['tar', 'gz'])('are kept by ADD of an archive: %s', async (name) => {
    expect(await of(`/t/${name}/capable`)).toEqual(
      inHex({ 'security.capability': CAPABILITY, 'user.binary': BINARY }),
    );
    expect(await of(`/t/${name}/shared`)).toEqual(kept({ [ACCESS]: ACL, 'user.empty': NOTHING }));
    expect(await of(`/t/${name}/sub`)).toEqual(inHex({ 'user.d': BINARY }));
    expect(await of(`/t/${name}/twice`)).toEqual({});
  });

  test('are set behind no link', async () => {
    expect(await of('/t/hostile/capable')).toEqual(inHex(CAPABLE));
    expect([await of('/etc/passwd'), await of('/etc')]).toEqual([{}, {}]);
    expect(await of('/etc/hostname')).toEqual({});
    expect(await stat('/etc/hostname')).toBe('0644 0 0');
    expect(box.log).toContain(
      'behind: extended attributes are left out: there (user.behind: Read-only file system)',
    );
    expect(await of(`${box.path('outside')}/capable`)).toEqual(inHex(CAPABLE));
    // llistxattr(2): how many bytes their names take.
    const script = 'print syscall($ARGV[1], my $p = $ARGV[0], my $none = "", 0)';
    const number = process.arch === 'x64' ? '195' : '12';
    const { stdout } = await run('perl', ['-e', script, box.path('outside/capable'), number]);
    expect(stdout.trim()).toBe('0');
  });

  test('that fail otherwise fail the step', () => {
    expect(failure).toMatchObject({
      code: 'step_failed',
      message: expect.stringMatching(
        /ADD large \/t\/large: extended attributes could not be set: \.\/large: user\.large: /u,
      ),
    });
  });

  test('that are left out are told of, once for each step', () => {
    const lines = box.log.split('\n').filter((line) => line.includes('extended attributes are left out'));
    const refused = isRoot
      ? [['link', ACCESS]]
      : [
          ['link', ACCESS],
          ['shared', ACCESS],
          ['sub', DEFAULT],
        ];
    expect(lines[0]?.replace(/^.*?note: /u, '')).toBe(
      [
        'step: COPY --from=source /src /t/image (line 2): extended attributes are left out:',
        'labeled (security.selinux)',
        'labeled (trusted.x)',
        ...refused.map(([path, name]) => `${path} (${name}: Operation not supported)`),
      ].join(' '),
    );
    expect(lines.find((line) => line.includes('a.tar.gz'))).toMatch(
      /left \(SCHILY\.acl\.access\).* left \(LIBARCHIVE\.xattr\.user\.z\).* left \(trusted\.x\)/u,
    );
    expect(lines.filter((line) => line.includes('/t/renamed'))).toEqual([]);
    const note = 'when an ordinary user builds POSIX ACLs cannot be set';
    expect(box.log.split(note)).toHaveLength(isRoot ? 1 : 2);
  });
});

test('extended attributes that nobody has in earnest are refused before they take all memory', () => {
  const item = { type: 'file', mode: 0, uid: 0, gid: 0 } as const;
  const large = new Map([['user.large', Buffer.alloc(65_536)]]);
  const attributes = new Attributes();
  attributes.add({ ...item, path: 'none', attributes: noAttributes });
  expect(() => {
    for (let index = 0; index <= 1024; index += 1) {
      attributes.add({ ...item, path: `${index}`, attributes: () => large });
    }
  }).toThrow('there are more than 64 MiB of extended attributes');
});
