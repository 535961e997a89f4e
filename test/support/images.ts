import { chown, copyFile, link, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import type { Account } from './test-user.ts';

export interface RootfsOptions {
  /** Of the file, in MiB (default 64; it is sparse). */
  sizeMiB?: number;
  /** In bytes (default: mke2fs's own, 1 KiB for such a small one). */
  blockSize?: number;
  /** More files: their path in the image and what is in them. */
  files?: Readonly<Record<string, string>>;
  /** A directory whose content is added. */
  tree?: string;
  owner?: Account;
}

const BUSYBOX = ['/usr/bin/busybox', '/bin/busybox'];
const APPLETS =
  'sh ls cat cp mv rm ln mkdir mknod mount umount chmod chown id env echo touch stat find tar sleep'.split(
    ' ',
  );
const DIRECTORIES = 'bin dev etc proc root run sys tmp usr/bin usr/sbin var/log'.split(' ');
const ETC: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\n',
  'etc/group': 'root:x:0:\ndaemon:x:1:\nshadow:x:42:\n',
  'etc/hostname': 'little\n',
  'root/.profile': 'PS1="# "\n',
};

/** Makes a small bootable-looking ext4 rootfs of busybox at `path`, in a fraction of a second; no mount is needed. */
export async function makeRootfs(path: string, options: RootfsOptions = {}): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'banger-rootfs-'));
  try {
    for (const directory of DIRECTORIES) await mkdir(join(tree, directory), { recursive: true });
    await copyFile(await findBusybox(), join(tree, 'bin/busybox'));
    for (const applet of APPLETS) await symlink('busybox', join(tree, 'bin', applet));
    for (const [name, content] of Object.entries({ ...ETC, ...options.files })) {
      await mkdir(join(tree, name, '..'), { recursive: true });
      await writeFile(join(tree, name), content);
    }
    if (options.tree !== undefined) await run('cp', ['-a', `${options.tree}/.`, tree]);
    await link(join(tree, 'etc/hostname'), join(tree, 'etc/hostname.link'));
    // Whoever makes it, it is root's: mke2fs copies owners as it sees them.
    const mapped = process.getuid?.() === 0 ? [] : ['unshare', '--map-root-user'];
    const size = `${options.sizeMiB ?? 64}M`;
    const make = [
      'mke2fs',
      '-q',
      '-F',
      ...['-t', 'ext4'],
      ...(options.blockSize === undefined ? [] : ['-b', String(options.blockSize)]),
      ...['-d', tree],
      ...['-E', 'root_owner=0:0'],
      path,
      size,
    ];
    const script = 'chmod 0755 "$0"; chmod 1777 "$0/tmp"; chmod 0700 "$0/root"; exec "$@"';
    const [file = 'sh', ...args] = [...mapped, 'sh', '-c', script, tree, ...make];
    await run(file, args);
  } finally {
    await rm(tree, { recursive: true });
  }
  if (options.owner) await chown(path, options.owner.uid, options.owner.gid);
  return path;
}

async function findBusybox(): Promise<string> {
  for (const path of BUSYBOX) {
    const { exitCode } = await run('test', ['-x', path], { okExit: 'any' });
    if (exitCode === 0) return path;
  }
  throw new Error('no busybox: sh scripts/setup --tests');
}

/**
 * A file that is a bzImage as far as its headers go, with a version string: 4 KiB that no machine will boot
 * (Linux, Documentation/arch/x86/boot.rst).
 */
export function fakeBzImage(version = '6.1.0-99-test-amd64'): Buffer {
  const image = Buffer.alloc(4096);
  image.writeUInt8(4, 0x1f1);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x020f, 0x206);
  image.writeUInt16LE(0x300, 0x20e);
  image.writeUInt16LE(0x1, 0x236);
  image.write(`${version} (builder@test) #1 SMP\0`, 0x200 + 0x300, 'latin1');
  return image;
}

/** A modules directory as depmod leaves one, for a kernel of that version. */
export async function makeModules(directory: string, version = '6.1.0-99-test-amd64'): Promise<string> {
  const own = join(directory, version);
  await mkdir(join(own, 'kernel/drivers/net'), { recursive: true });
  await writeFile(join(own, 'kernel/drivers/net/dummy.ko'), 'not a module');
  await writeFile(join(own, 'modules.dep'), 'kernel/drivers/net/dummy.ko:\n');
  await writeFile(join(own, 'modules.order'), (await readdir(own)).join('\n'));
  return own;
}
