import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PreflightError } from '../../../src/lib/errors.ts';
import type { BootSet } from '../../../src/lib/image/artifacts.ts';
import { checkBootSet } from '../../../src/lib/image/requirements.ts';
import { run } from '../../../src/lib/system/process.ts';
import { fakeBzImage } from '../../support/images.ts';

let directory: string;
const at = (name: string): string => join(directory, name);
const socket = createServer();

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'banger-requirements-'));
  await run('mke2fs', ['-q', '-F', ...['-t', 'ext4'], at('rootfs'), '2M']);
  writeFileSync(at('kernel'), fakeBzImage());
  writeFileSync(at('empty'), '');
  writeFileSync(at('initrd'), '070701');
  for (const name of ['directory', 'modules/deep', 'odd-modules/deep'])
    mkdirSync(at(name), { recursive: true });
  writeFileSync(at('modules/deep/a.ko'), '');
  symlinkSync('nowhere', at('modules/build'));
  spawnSync('mkfifo', [at('fifo'), at('odd-modules/deep/fifo')]);
  symlinkSync('loop', at('loop'));
  await new Promise<void>((resolve) => socket.listen(at('socket'), resolve));
});

afterAll(async () => {
  await new Promise((resolve) => socket.close(resolve));
  rmSync(directory, { recursive: true });
});

async function faultsOf(changed: Partial<BootSet>): Promise<readonly { message: string; mend: string }[]> {
  const sound = { rootfs: at('rootfs'), kernel: at('kernel'), initrd: at('initrd'), modules: at('modules') };
  const bootSet = { ...sound, workSeed: at('rootfs'), ...changed };
  try {
    await checkBootSet('image little', bootSet, (artifact) => `mend ${artifact}`);
    return [];
  } catch (error) {
    if (error instanceof PreflightError) return error.faults;
    throw error;
  }
}

describe('a boot set', () => {
  test('that is sound has no fault, and a kernel whose version is known', async () => {
    expect(await faultsOf({})).toEqual([]);
    const bootSet = {
      rootfs: at('rootfs'),
      kernel: at('kernel'),
      initrd: null,
      modules: null,
      workSeed: null,
    };
    expect(await checkBootSet('image little', bootSet, () => '')).toMatchObject({
      format: 'bzImage',
      version: '6.1.0-99-test-amd64',
    });
  });

  const KINDS = ['rootfs', 'kernel', 'initrd', 'workSeed'] as const;

  test.each([
    ['missing', 'does not exist'],
    ['kernel/below', 'does not exist'],
    ['directory', 'is a directory, not a regular file'],
    ['fifo', 'is a FIFO, not a regular file'],
    ['socket', 'is a socket, not a regular file'],
    ['loop', 'is a loop of symbolic links'],
    ['x'.repeat(300), 'has too long a name'],
    ['d/'.repeat(3000), 'has too long a name'],
    ['missing\n\u001b[2J', 'does not exist'],
  ])('in which a file is %j has that fault', async (name, said) => {
    for (const kind of KINDS) {
      const [fault, ...more] = await faultsOf({ [kind]: at(name) });
      expect(more).toEqual([]);
      expect(fault).toMatchObject({ message: expect.stringContaining(said), mend: `mend ${kind}` });
      expect(fault?.message).not.toMatch(/\n|\u001b/u);
    }
  });

  test.each(['/dev/null', '/dev/zero', '/dev/tty'])('in which a file is %s has that fault', async (path) => {
    for (const kind of KINDS) {
      expect(await faultsOf({ [kind]: path })).toMatchObject([
        { message: expect.stringContaining(`${path} is a device, not a regular file`), mend: `mend ${kind}` },
      ]);
    }
  });

  test.each<[keyof BootSet, string, string]>([
    ['rootfs', 'kernel', 'is a Linux kernel, not an ext4 filesystem'],
    ['rootfs', 'empty', 'is an empty file, not an ext4 filesystem'],
    ['workSeed', 'modules/deep/a.ko', 'is an empty file, not an ext4 filesystem'],
    ['kernel', 'rootfs', 'not an ELF vmlinux, a bzImage or an arm64 Image'],
    ['kernel', 'empty', 'not an ELF vmlinux, a bzImage or an arm64 Image'],
    ['initrd', 'empty', 'is an empty file, not a cpio archive'],
    ['initrd', 'kernel', 'is a Linux kernel, not a cpio archive'],
    ['initrd', 'rootfs', 'is an ext4 filesystem of 2 MiB, not a cpio archive'],
    ['modules', 'kernel', 'is not a directory'],
    ['modules', 'missing', 'does not exist'],
    ['modules', 'odd-modules', 'odd-modules/deep/fifo is neither a file, a directory nor a link'],
  ])('whose %s is %s has that fault', async (kind, name, said) => {
    expect(await faultsOf({ [kind]: at(name) })).toMatchObject([
      { message: expect.stringContaining(said), mend: `mend ${kind}` },
    ]);
  });

  test('that is all wrong has every fault, in the order of the flags', async () => {
    const faults = await faultsOf({
      rootfs: at('fifo'),
      kernel: at('socket'),
      initrd: at('empty'),
      modules: at('loop'),
      workSeed: at('directory'),
    });
    expect(faults.map(({ mend }) => mend)).toEqual(
      ['rootfs', 'kernel', 'initrd', 'modules', 'workSeed'].map((kind) => `mend ${kind}`),
    );
  });

  test('that can be opened but not read has that fault, and hides no other', async () => {
    // Reading a process's own memory at address 0 is EIO.
    const faults = await faultsOf({ rootfs: '/proc/self/mem', kernel: at('empty') });
    expect(faults.map(({ mend }) => mend)).toEqual(['mend rootfs', 'mend kernel']);
  });
});
