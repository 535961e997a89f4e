import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withVolume } from '../../../src/lib/ext4/volume.ts';
import { initFinding, runsBusybox } from '../../../src/lib/image/guest-init.ts';
import { examineProgram } from '../../../src/lib/image/guest-program.ts';
import { run } from '../../../src/lib/system/process.ts';
import { elf } from '../../support/elf.ts';

const directory = mkdtempSync(join(tmpdir(), 'banger-programs-'));
const tree = join(directory, 'tree');
const image = join(directory, 'image');
afterAll(() => rmSync(directory, { recursive: true }));

function put(path: string, content: string | Buffer, mode = 0o755): void {
  const file = join(tree, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

beforeAll(async () => {
  put('static', elf());
  put('lib/ld.so', elf());
  put('lib/ld-arm.so', elf({ machine: 183 }));
  put('lib/ld-plain.so', elf(), 0o644);
  put('dynamic', elf({ linker: '/lib/ld.so' }));
  put('lost', elf({ linker: '/lib/no-such.so' }));
  put('mixed', elf({ linker: '/lib/ld-arm.so' }));
  put('plain-linker', elf({ linker: '/lib/ld-plain.so' }));
  put('directory-linker', elf({ linker: '/lib' }));
  put('arm', elf({ machine: 183 }));
  put('narrow', Buffer.from(elf({ machine: 3 })));
  put('script', '#!/static\n');
  put('blank-script', '#! \t/dynamic -x\n');
  put('lost-script', '#!/no/such\n');
  put('own-script', '#!/own-script\n');
  put('text', 'echo hello\n');
  put('empty', '');
  put('cut', elf().subarray(0, 60));
  put('headless', Buffer.concat([elf().subarray(0, 32), Buffer.alloc(32, 255), elf().subarray(64)]));
  put('data', elf(), 0o644);
  put('busy/box', elf());
  for (const [path, target] of Object.entries({
    link: '/static',
    up: '../../../script',
    dangling: '/no/such',
    'ring-a': 'ring-b',
    'ring-b': 'ring-a',
  })) {
    symlinkSync(target, join(tree, path));
  }
  await run('mkfifo', [join(tree, 'fifo')]);
  copyFileSync(process.execPath, join(tree, 'real'));
  chmodSync(join(tree, 'real'), 0o755);
  await run('mke2fs', ['-q', '-t', 'ext4', '-d', tree, image, '512M']);
});

const examine = (path: string) => withVolume(image, (volume) => examineProgram(volume, path, 'x86_64'));

describe('a file of an image', () => {
  test.for(['/static', '/dynamic', '/script', '/blank-script', '/link', '/up'])('runs: %s', async (path) => {
    expect(await examine(path)).toMatchObject({ verdict: 'runs' });
  });

  test.for([
    ['/lost', 'needs /lib/no-such.so, which is not there'],
    ['/mixed', 'which is no program for the same machine'],
    ['/plain-linker', 'which is not executable'],
    ['/directory-linker', 'which is no regular file'],
    ['/arm', 'is a program for arm64, the kernel for x86_64'],
    ['/lost-script', 'is a script for /no/such, which is not there'],
    ['/own-script', 'too many interpreters'],
    ['/text', 'neither an ELF program nor a script'],
    ['/empty', 'neither an ELF program nor a script'],
    ['/cut', 'broken ELF'],
    ['/headless', 'broken ELF'],
    ['/data', 'is not executable (mode 0644)'],
    ['/dangling', 'leads nowhere'],
    ['/ring-a', 'too many symbolic links'],
    ['/fifo', 'is no regular file, but a fifo'],
    ['/lib', 'is no regular file, but a directory'],
  ])('cannot run: %s', async ([path = '', why]) => {
    expect(await examine(path)).toEqual({
      verdict: 'cannot run',
      detail: expect.stringContaining(why ?? ''),
    });
  });

  test('runs on some kernels, or is not there', async () => {
    expect(await examine('/narrow')).toMatchObject({
      verdict: 'may run',
      detail: expect.stringContaining('CONFIG_IA32_EMULATION'),
    });
    expect(await examine('/nothing')).toEqual({ verdict: 'absent' });
  });

  test('is told to need its linker, a real program, too', async () => {
    const linker = /\/lib\S*\/ld-[\w.-]+/u.exec(readFileSync(process.execPath, 'latin1').slice(0, 8192))?.[0];
    expect(await examine('/real')).toMatchObject({
      verdict: 'cannot run',
      detail: `/real needs ${linker}, which is not there`,
    });
  });
});

describe('the init of an image', () => {
  async function initOf(links: Readonly<Record<string, string>>) {
    const own = join(directory, 'init-tree');
    const path = join(directory, 'init');
    rmSync(own, { recursive: true, force: true });
    for (const [name, target] of Object.entries(links)) {
      mkdirSync(dirname(join(own, name)), { recursive: true });
      symlinkSync(target, join(own, name));
    }
    mkdirSync(join(own, 'bin'), { recursive: true });
    writeFileSync(join(own, 'bin/busybox'), elf(), { mode: 0o755 });
    await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', own, path, '4M']);
    return withVolume(path, (volume) => ({
      ...initFinding(volume, 'x86_64', 'mend'),
      isBusybox: runsBusybox(volume),
    }));
  }

  test.for([
    ['ok', true, { 'sbin/init': '../bin/busybox' }],
    ['ok', true, { 'etc/init': '/bin/busybox' }],
    ['warn', true, { 'sbin/init': '/gone', 'bin/init': 'busybox' }],
    ['warn', false, { 'bin/sh': 'busybox' }],
    ['fail', false, { 'sbin/init': 'init', 'bin/sh': 'busybox' }],
    ['fail', false, { 'sbin/init': '/gone' }],
    ['fail', false, { 'bin/sh': '/gone' }],
    ['fail', false, {}],
  ] as const)('is %s', async ([status, isBusybox, links]) => {
    expect(await initOf(links)).toMatchObject({ name: 'init', status, isBusybox });
  });
});
