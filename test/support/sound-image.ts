import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cpioOf } from '../../src/lib/machine/cpio.ts';
import { run } from '../../src/lib/system/process.ts';
import { elf } from './elf.ts';
import { fakeBzImage, makeRootfs } from './images.ts';

/** What `uname -r` would say of its kernel. */
export const SOUND_VERSION = '6.1.0-99-test-amd64';
/** Where the guest keeps its modules. */
export const SOUND_MODULES = `lib/modules/${SOUND_VERSION}`;
/** What its kernel has built in, a file a line. */
export const SOUND_BUILTIN = ['drivers/block/virtio_blk', 'drivers/virtio/virtio_mmio', 'fs/ext4/ext4']
  .map((name) => `kernel/${name}.ko\n`)
  .join('');

/** The files of an image with which nothing is wrong. */
export interface SoundFiles {
  rootfs: string;
  kernel: string;
  modules: string;
  workSeed: string;
}

const GUEST_FILES: Readonly<Record<string, string | Buffer>> = {
  'usr/lib/systemd/systemd': elf(),
  [`${SOUND_MODULES}/modules.dep`]: '',
  [`${SOUND_MODULES}/modules.builtin`]: SOUND_BUILTIN,
  'etc/fstab': '/dev/vda / ext4 defaults 0 1\n/dev/vdb /root ext4 nofail\n',
  'etc/machine-id': '',
};

/** Makes them in a directory, in a second; copies take less. */
export async function makeSoundImage(directory: string): Promise<SoundFiles> {
  const tree = await mkdtemp(join(tmpdir(), 'banger-sound-'));
  try {
    for (const [name, content] of Object.entries(GUEST_FILES)) {
      await mkdir(dirname(join(tree, name)), { recursive: true });
      await writeFile(join(tree, name), content);
    }
    await chmod(join(tree, 'usr/lib/systemd/systemd'), 0o755);
    await mkdir(join(tree, 'sbin'));
    await symlink('/usr/lib/systemd/systemd', join(tree, 'sbin/init'));
    await makeRootfs(join(directory, 'rootfs.ext4'), { sizeMiB: 24, tree });
    await makeRootfs(join(directory, 'seed.ext4'), { sizeMiB: 8 });
  } finally {
    await rm(tree, { recursive: true });
  }
  const modules = join(directory, 'modules');
  await mkdir(join(modules, SOUND_VERSION), { recursive: true });
  await writeFile(join(modules, SOUND_VERSION, 'modules.dep'), '');
  await writeFile(join(directory, 'vmlinuz'), fakeBzImage(SOUND_VERSION));
  return soundFiles(directory);
}

/** Copies them, for a test to do harm to. */
export async function copySoundImage(from: string, to: string): Promise<SoundFiles> {
  await run('cp', ['-R', '--sparse=always', `${from}/.`, to]);
  return soundFiles(to);
}

function soundFiles(directory: string): SoundFiles {
  return {
    rootfs: join(directory, 'rootfs.ext4'),
    kernel: join(directory, 'vmlinuz'),
    modules: join(directory, 'modules'),
    workSeed: join(directory, 'seed.ext4'),
  };
}

/** An initrd with these files, a few bytes each. */
export function initrdOf(names: readonly string[]): Buffer {
  const entries = names.map((path) => {
    return { path, type: 'file' as const, mode: 0o755, content: Buffer.from('file') };
  });
  return gzipSync(Buffer.concat(cpioOf(entries)));
}
