import { execFileSync } from 'node:child_process';
import { lstatSync, readlinkSync } from 'node:fs';
import { chown, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { makeBootFiles } from '../support/boot-files.ts';
import { type BuiltImage, buildArguments, makeBase } from '../support/builds.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { listGuest, readGuest, statGuest } from '../support/guest-files.ts';
import { attempt, complaintOf } from './hostile-attempt.ts';
import { count, sample, WHOLE } from './tally.ts';

const { root, user } = inject('testRun');
const account = root ?? user;

/** What may stand in a file's place. */
const KINDS = [
  'a FIFO',
  'a socket',
  'a device without an end',
  'a device without a beginning',
  'a block device',
  'a loop',
  'a link to nothing',
  'a directory',
  'unreadable memory',
] as const;
type Kind = (typeof KINDS)[number];
const LINKS: Partial<Record<Kind, string>> = {
  'a device without an end': '/dev/zero',
  'a device without a beginning': '/dev/null',
  'a loop': 'loop',
  'a link to nothing': 'nowhere',
  'unreadable memory': '/proc/self/mem',
};

async function makeHostile(path: string, kind: Kind): Promise<void> {
  await rm(path, { recursive: true, force: true });
  const link = LINKS[kind];
  if (link === 'loop') await symlink(path, path);
  else if (link !== undefined) await symlink(link, path);
  else if (kind === 'a FIFO') execFileSync('mkfifo', [path]);
  else if (kind === 'a directory') await mkdir(path);
  else if (kind === 'a block device') await makeBlockDevice(path);
  else await makeSocket(path);
  if (link === undefined) await chown(path, account.uid, account.gid);
}

/** Of a number that no driver has (Linux, Documentation/admin-guide/devices.txt: 240 to 254 are for local use). */
async function makeBlockDevice(path: string): Promise<void> {
  if (root === null) await symlink('/dev/null', path);
  else execFileSync('mknod', [path, 'b', '254', '250']);
}

/** Stays when its server is gone; a server that closes would remove it. */
async function makeSocket(path: string): Promise<void> {
  const server = createServer();
  // A path in a socket's address has 107 bytes (unix(7)).
  const cwd = process.cwd();
  process.chdir(join(path, '..'));
  try {
    await new Promise<void>((resolve) => server.listen(path.split('/').pop(), resolve));
    execFileSync('cp', ['-a', path, `${path}.kept`]);
    await new Promise((resolve) => server.close(resolve));
    execFileSync('mv', [`${path}.kept`, path]);
  } finally {
    process.chdir(cwd);
  }
}

/** Runs what must be refused; the complaints. */
async function refusal(
  home: Home,
  command: string,
  args: readonly string[],
  allowed: number[],
): Promise<string[]> {
  const { status, said, complaint } = await attempt(home, args);
  const unsound = await complaintOf(home);
  const wrong = allowed.includes(status) ? null : `exit ${status}, not ${allowed.join(' or ')}: ${said}`;
  const complaints = [complaint, wrong, unsound].filter((text) => text !== null);
  count({ command, torment: 'hostile inputs', tried: 1, lost: complaints.length === 0 ? 0 : 1 });
  return complaints.map((text) => `${args.join(' ')}: ${text}`);
}

describe('where a file is expected', () => {
  test.for(sample(KINDS, 2))(
    '%s is refused at every flag, and in place of every file of an image',
    async (kind, { makeHome }) => {
      const home = await makeHome(account);
      const hostile = join(home.directory, 'hostile');
      await makeHostile(hostile, kind);
      const { kernel, modules } = await makeBase(home);
      const flags = {
        rootfs: join(home.directory, 'base/rootfs.ext4'),
        kernel,
        initrd: await home.write('initrd', '070701'),
        modules,
        'work-seed': join(home.directory, 'base/rootfs.ext4'),
      };
      const complaints: string[] = [];
      const refuse = async (command: string, args: readonly string[], allowed = [6]): Promise<void> =>
        void complaints.push(...(await refusal(home, command, args, allowed)));
      for (const flag of WHOLE ? Object.keys(flags) : ['rootfs', 'initrd']) {
        // A directory is a place for modules, though an empty one.
        if (flag === 'modules' && kind === 'a directory') continue;
        const others = Object.entries(flags).filter(([name]) => name !== flag);
        await refuse('image register', [
          ...['image', 'register', 'victim'],
          ...[...others, [flag, hostile]].flatMap(([name, path]) => [`--${name}`, path ?? '']),
        ]);
      }
      const kinds =
        kind === 'a directory'
          ? ['kernel', 'initrd', 'script']
          : ['kernel', 'initrd', 'modules', 'script', 'copy'];
      for (const flag of WHOLE ? kinds : ['script']) {
        const value = flag === 'copy' ? `${hostile}:/copied` : hostile;
        // That memory cannot be read is found out when it is copied.
        const allowed = flag === 'copy' && kind === 'unreadable memory' ? [8] : [6];
        await refuse('image build', buildArguments('made', '--no-ssh', `--${flag}`, value), allowed);
      }

      // The files of an image that is registered, each replaced: promoted, and built from.
      const parts = ['rootfs', 'kernel', 'initrd', 'seed', 'rootfs.packages.sha256'];
      await mkdir(join(home.directory, 'parts'), { recursive: true });
      for (const part of WHOLE ? parts : ['kernel', 'rootfs.packages.sha256']) {
        for (const [name, path] of [
          ['rootfs', flags.rootfs],
          ['kernel', kernel],
          ['initrd', flags.initrd],
          ['seed', flags.rootfs],
        ] as const) {
          execFileSync('cp', ['--remove-destination', path, join(home.directory, 'parts', name)]);
        }
        execFileSync('chown', ['-R', `${account.uid}:${account.gid}`, join(home.directory, 'parts')]);
        const at = (name: string): string => join(home.directory, 'parts', name);
        await home.ok([
          ...['image', 'register', 'victim'],
          ...[
            '--rootfs',
            at('rootfs'),
            '--kernel',
            at('kernel'),
            '--initrd',
            at('initrd'),
            '--work-seed',
            at('seed'),
          ],
        ]);
        await makeHostile(at(part), kind);
        const isGone = kind === 'a link to nothing';
        // A work seed that is gone is forgotten; a sidecar that leads nowhere is none.
        const mayBeGone = isGone && (part === 'seed' || part.endsWith('sha256'));
        if (WHOLE && !['seed', 'rootfs.packages.sha256'].includes(part))
          await refuse('image build', ['image', 'build', 'made', '--no-ssh', ...['--from-image', 'victim']]);
        await refuse('image promote', ['image', 'promote', 'victim'], mayBeGone ? [0] : [6]);
        await home.ok(['image', 'show', 'victim']);
        await home.ok(['image', 'delete', 'victim']);
        await rm(at(part), { recursive: true, force: true });
      }
      expect(complaints).toEqual([]);
    },
  );
});

describe('links that lead out of what is copied', () => {
  test('stay links, in managed modules and in the guest: nothing of the host comes along', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    const { rootfs, kernel, modules } = await makeBase(home);
    const secret = await home.write('secret', 'of the host');
    await mkdir(join(home.directory, 'private'));
    await writeFile(join(home.directory, 'private/key'), 'of the host');
    const version = modules.split('/').pop() ?? '';
    await symlink(secret, join(modules, 'kernel/secret.ko'));
    await symlink(join(home.directory, 'private'), join(modules, 'kernel/private'));
    await symlink('../../../..', join(modules, 'kernel/up'));
    await symlink('/etc', join(modules, 'build'));
    execFileSync('chown', ['-hR', `${account.uid}:${account.gid}`, home.directory]);
    const flags = ['--rootfs', rootfs, '--kernel', kernel, '--modules', modules];
    await home.ok(['image', 'register', 'led', ...flags]);
    // A guest may lead out, too.
    const trap = [
      '--run',
      'ln -s ../../../../../../../../../../../../tmp /lib/trap; rm -rf /root; ln -s /tmp /root',
    ];
    const { document: made } = await home.json<BuiltImage>([
      'image',
      'build',
      'made',
      ...['--from-image', 'led'],
      ...trap,
    ]);
    const inside = `/lib/modules/${version}`;
    expect(await statGuest(made.rootfs_path, `${inside}/kernel/secret.ko`)).toMatchObject({
      type: 'symlink',
    });
    expect(await statGuest(made.rootfs_path, `${inside}/kernel/private`)).toMatchObject({ type: 'symlink' });
    expect(await listGuest(made.work_seed_path, '/')).toEqual(['.ssh', 'lost+found']);
    expect(await readGuest(made.rootfs_path, `${inside}/modules.dep`)).toContain('dummy.ko');
    // Whoever followed them would be on the way through all of the host for minutes.
    await home.ok(['image', 'promote', 'led'], { timeoutMs: 30_000 });
    const { document: led } = await home.json<BuiltImage>(['image', 'show', 'led']);
    for (const { modules_dir } of [made, led]) {
      expect(readlinkSync(join(modules_dir ?? '', 'kernel/secret.ko'))).toBe(secret);
      expect(lstatSync(join(modules_dir ?? '', 'kernel/private')).isSymbolicLink()).toBe(true);
    }
    await home.verify();
    await home.ok(['image', 'delete', 'made', 'led']);
    expect(lstatSync(join(home.directory, 'private/key')).isFile()).toBe(true);
    count({ command: 'image build', torment: 'hostile inputs', tried: 4, lost: 0 });
    count({ command: 'image promote', torment: 'hostile inputs', tried: 4, lost: 0 });
  });

  test('a tree to copy with everything that a tree can have is copied as it is, or refused', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const tree = join(home.directory, 'tree');
    await mkdir(tree);
    await writeFile(join(tree, 'plain'), 'plain');
    for (const kind of KINDS) await makeHostile(join(tree, kind.replaceAll(' ', '-')), kind);
    execFileSync('chown', ['-hR', `${account.uid}:${account.gid}`, tree]);
    const args = buildArguments('made', '--no-ssh', '--copy', `${tree}:/copied`);
    // A guest's root makes no devices of its own: a step that wants one fails.
    expect(await refusal(home, 'image build', args, [0, 8])).toEqual([]);
    await home.verify();
  });

  test('a boot set that is nothing but one file is what it is', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs } = await makeBootFiles(home);
    const all = ['--rootfs', '--kernel', '--initrd', '--modules', '--work-seed'].flatMap((flag) => [
      flag,
      rootfs,
    ]);
    expect(await refusal(home, 'image register', ['image', 'register', 'one', ...all], [6])).toEqual([]);
  });
});
