import { chmodSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
import { readTar } from '../../../src/lib/system/tar-reader.ts';
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../../../src/lib/system/tar-stream.ts';
import { testAccounts } from '../../support/cli.ts';
import { StepBox } from '../../support/step-box.ts';

type Part = Partial<Omit<TarEntry, 'name' | 'target'>> & { name: string; target?: string; content?: string };

/** An archive that no tar would make. */
function archive(...parts: Part[]): Buffer {
  const pieces = parts.flatMap(({ name, target, content = '', ...rest }) => {
    const entry: TarEntry = {
      ...{ type: 'file', mode: 0o644, uid: 0, gid: 0, size: content.length, mtime: 1000 },
      ...rest,
      name: Buffer.from(name, 'latin1'),
      target: target === undefined ? null : Buffer.from(target),
    };
    return [tarHeader(entry), Buffer.from(content), Buffer.alloc(tarPadding(content.length))];
  });
  return Buffer.concat([...pieces, TAR_END]);
}

/** The same with another type, as the header's letter has it. */
function retyped(tar: Buffer, letter: string): Buffer {
  const changed = Buffer.from(tar);
  const before = changed.readUInt8(156);
  changed.write(letter, 156, 'latin1');
  const sum = Number.parseInt(changed.toString('latin1', 148, 154), 8) - before + letter.charCodeAt(0);
  changed.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
  return changed;
}

/** Real archives of one tree, by the options that tar made them with. */
async function realArchives(): Promise<Record<string, Buffer>> {
  const directory = await mkdtemp(join(inject('testRun').directory, 'archives-'));
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'sub/empty'), { recursive: true });
  writeFileSync(join(tree, 'file'), 'content');
  writeFileSync(join(tree, 'é'.repeat(90)), 'long');
  chmodSync(join(tree, 'file'), 0o4755);
  symlinkSync('/etc/passwd', join(tree, 'sub/link'));
  await run('ln', [join(tree, 'file'), join(tree, 'sub/hard')]);
  chmodSync(join(tree, 'sub/empty'), 0o700);
  utimesSync(join(tree, 'sub/empty'), 1_000_000_000, 1_000_000_000);
  const made: Record<string, Buffer> = {};
  for (const [name, options] of [
    ['gnu', ['--format=gnu']],
    ['pax', ['--format=posix']],
    ['gzip', ['-z']],
    ['bzip2', ['-j']],
    ['xz', ['-J']],
    ['zstd', ['--zstd']],
  ] as const) {
    const path = join(directory, name);
    await run('tar', [
      '-c',
      ...options,
      '--sort=name',
      '--owner=x:1234',
      '--group=y:77',
      '-f',
      path,
      '-C',
      tree,
      '.',
    ]);
    made[name] = Buffer.from((await run('base64', ['-w', '0', path])).stdout, 'base64');
  }
  return made;
}

describe.each(testAccounts())('ADD of $label', (account) => {
  let box: StepBox;
  beforeAll(async () => {
    const real = await realArchives();
    box = await StepBox.open(account, {
      context: {
        ...real,
        'file.gz': gzipSync('no archive'),
        'cut.gz': (real.gzip ?? Buffer.alloc(0)).subarray(0, 150),
        'xz.txt': Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), Buffer.from('not really')]),
        text: 'text',
        up: archive({ name: 'fine', content: 'x' }, { name: 'a/../../up', content: 'x' }),
        absolute: archive({ name: '/etc/absolute', content: 'inside' }),
        through: archive(
          { name: 'link', type: 'symlink', target: '/etc' },
          { name: 'link/written', content: 'outside' },
        ),
        written: archive({ name: 'there/written', content: 'outside' }),
        'directory-through': archive({ name: 'there', type: 'directory', mode: 0o777 }),
        hard: archive({ name: 'hard', type: 'link', target: '../etc/passwd' }),
        'hard-absolute': archive({ name: 'hard', type: 'link', target: '/etc/passwd' }),
        device: Buffer.concat([
          retyped(archive({ name: 'null' }).subarray(0, 512), '3'),
          archive({ name: 'beside', content: 'x' }),
        ]),
        huge: archive({ name: 'huge', size: 2 ** 40 }),
        fills: gzipSync(archive({ name: 'zeros', content: '\0'.repeat(48 * 1024 * 1024) })),
        sparse: retyped(archive({ name: 'sparse' }), 'S'),
      },
    });
    await box.sh('mkdir /t');
  });
  afterAll(() => box.remove());

  const result = async (text: string): Promise<string[]> => {
    await box.steps(text);
    const tree = await box.tree('/t');
    await box.sh('rm -rf /t; mkdir /t');
    return tree;
  };

  test.each(['gnu', 'pax', 'gzip', 'bzip2', 'xz', 'zstd'])('unpacks %s, with its owners', async (name) => {
    await box.steps(`ADD ${name} /t/new`);
    expect(await box.sh('stat -c %Y /t/new/sub/empty; ls /t/new | busybox wc -l; cat /t/new/é*')).toBe(
      '1000000000\n3\nlong',
    );
    await box.sh('rm /t/new/é*');
    expect((await result('WORKDIR /t')).map((line) => line.replace(/ = .*/su, ''))).toEqual([
      '755 0:0 ./new/',
      '4755 1234:77 ./new/file',
      '755 1234:77 ./new/sub/',
      '700 1234:77 ./new/sub/empty/',
      '4755 1234:77 ./new/sub/hard',
      '777 1234:77 ./new/sub/link -> /etc/passwd',
    ]);
    expect(readdirSync(box.path('scratch'))).toEqual([]);
  });

  test('copies what is no archive, and archives where it is told', async () => {
    await box.steps('ADD text file.gz xz.txt /t/\nADD --unpack=false gzip /t/\nCOPY bzip2 /t/');
    expect(await box.sh('ls /t; rm -rf /t; mkdir /t')).toBe('bzip2\nfile.gz\ngzip\ntext\nxz.txt\n');
    const both = await result('ADD --chown=5:6 absolute text /t/');
    expect(both).toEqual(['755 0:0 ./etc/', '644 5:6 ./etc/absolute = inside', '644 5:6 ./text = text']);
  });

  test.each([
    [
      'up',
      'preflight_failed',
      /\(line 2\): up: the archive holds a name that leads out of it: a\/\.\.\/\.\.\/up/u,
    ],
    ['hard', 'preflight_failed', /a name that leads out of it/u],
    ['hard-absolute', 'step_failed', /link/u],
    ['through', 'step_failed', /link/u],
    ['written', 'step_failed', /Read-only file system/u],
    ['huge', 'preflight_failed', /huge: the archive is broken: it ends too early/u],
    ['cut.gz', 'preflight_failed', /cut\.gz: it cannot be decompressed/u],
    ['fills', 'step_failed', /No space left/u],
    ['sparse', 'preflight_failed', /sparse files/u],
  ])('writes nothing outside for %s, and says why', async (name, code, message) => {
    await box.sh('ln -s /etc /t/there');
    const before = await box.sh('cd /; find etc bin -print | busybox sort; stat -c %a /etc');
    expect(await box.refused(`ADD ${name} /t`)).toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    await box.sh('rm -rf /t; mkdir /t');
    expect(await box.sh('cd /; find etc bin -print | busybox sort; stat -c %a /etc')).toBe(before);
  });

  test('changes nothing behind a link for a directory of its name', async () => {
    await box.sh('ln -s /etc /t/there; chmod 711 /etc');
    await box.steps('ADD directory-through /t');
    expect(await box.sh('stat -c %a /etc; chmod 755 /etc; rm -rf /t; mkdir /t')).toBe('711\n');
  });

  test('leaves out devices, and says so', async () => {
    expect(await result('ADD device /t')).toEqual(['644 0:0 ./beside = x']);
    expect(box.log).toContain('note: device: devices and FIFOs are left out: null');
  });

  test('leaves a sound image', () => box.close());
});

describe('an archive', () => {
  const list = async (bytes: Buffer): Promise<unknown[]> => {
    const found = [];
    async function* once() {
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
    }
    for await (const { name, size, mtime, uid, type, content } of readTar(once())) {
      const pieces: Buffer[] = [];
      for await (const piece of content()) pieces.push(piece);
      found.push([type, name.toString('latin1'), size, mtime, uid, Buffer.concat(pieces).toString('latin1')]);
    }
    return found;
  };

  test('is read as it was written, numbers and names of any size', async () => {
    const long = `${'d'.repeat(120)}/${'\u00ff'.repeat(120)}`;
    const parts: Part[] = [
      { name: long, content: 'one', uid: 3_000_000_000, mtime: 2 ** 34 },
      { name: 'two', type: 'symlink', target: long },
      { name: 'three', type: 'directory' },
    ];
    expect(await list(archive(...parts))).toEqual([
      ['file', long, 3, 2 ** 34, 3_000_000_000, 'one'],
      ['symlink', 'two', 0, 1000, 0, ''],
      ['directory', 'three', 0, 1000, 0, ''],
    ]);
    const header = tarHeader({
      ...{ type: 'file', name: Buffer.from('large'), mode: 0o644, uid: 0, gid: 0, mtime: 0, target: null },
      size: 2 ** 40,
    });
    expect(header.subarray(124, 136)).toEqual(Buffer.from([0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]));
    // What tar(1) itself makes of it.
    const path = join(await mkdtemp(join(inject('testRun').directory, 'tar-')), 'a.tar');
    writeFileSync(path, archive(...parts));
    const { stdout } = await run('tar', ['-tv', '--numeric-owner', '--quoting-style=escape', '-f', path]);
    expect(stdout).toMatch(/^-rw-r--r-- 3000000000\/0 +3 2514-/u);
    expect(stdout).toContain(`two -> ${'d'.repeat(120)}`);
  });

  test.each([
    ['a size that is no number', (tar: Buffer) => tar.write('xxxx', 124, 'latin1')],
    ['a sum that is wrong', (tar: Buffer) => tar.write('zz', 0, 'latin1')],
  ])('with %s is refused', async (_, damage) => {
    const tar = archive({ name: 'file', content: 'x' });
    damage(tar);
    await expect(list(tar)).rejects.toMatchObject({ code: 'preflight_failed' });
  });

  test('with a record or a name of any length is refused', async () => {
    const header = (size: number, letter: string) =>
      retyped(archive({ name: 'x', size }).subarray(0, 512), letter);
    await expect(list(header(2 ** 30, 'L'))).rejects.toThrow('a header is too long');
    const record = Buffer.alloc(512);
    record.write('99999 path=x\n');
    await expect(list(Buffer.concat([header(13, 'x'), record]))).rejects.toThrow(
      'a record of a header is wrong',
    );
  });
});
