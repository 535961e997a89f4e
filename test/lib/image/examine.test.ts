import { mkdtemp, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../../src/lib/finding.ts';
import { examineImage } from '../../../src/lib/image/examine.ts';
import { editExt4 } from '../../../src/lib/system/debugfs.ts';
import { run } from '../../../src/lib/system/process.ts';
import { changeGuest } from '../../support/guest-files.ts';
import { fakeBzImage } from '../../support/images.ts';
import {
  copySoundImage,
  initrdOf,
  makeSoundImage,
  SOUND_BUILTIN,
  SOUND_MODULES,
  type SoundFiles,
} from '../../support/sound-image.ts';
import { imageRow } from '../plans.ts';

let sound: string;

beforeAll(async () => {
  sound = await mkdtemp(join(tmpdir(), 'banger-verify-'));
  await makeSoundImage(sound);
});
afterAll(() => rm(sound, { recursive: true }));

async function newImage(): Promise<SoundFiles> {
  const directory = await mkdtemp(join(tmpdir(), 'banger-verify-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return copySoundImage(sound, directory);
}

function examine(files: SoundFiles, initrd: string | null = null): Promise<Finding[]> {
  return examineImage(
    imageRow({
      name: 'web',
      rootfs_path: files.rootfs,
      kernel_path: files.kernel,
      initrd_path: initrd,
      modules_dir: files.modules,
      work_seed_path: files.workSeed,
    }),
  );
}

function namesOf(findings: readonly Finding[], wanted: Finding['status']): string[] {
  return findings.flatMap(({ name, status }) => (status === wanted ? [name] : []));
}

/** Replaces a file of a guest. */
async function replace({ rootfs }: SoundFiles, path: string, content: string): Promise<void> {
  const source = `${rootfs}.replacement`;
  await writeFile(source, content);
  await changeGuest(rootfs, `rm ${path}`, `write ${source} ${path}`);
}

async function replaceByFifo({ rootfs }: SoundFiles, name: string): Promise<void> {
  await editExt4(rootfs, () => ['cd /etc', `rm ${name}`, `mknod ${name} p`]);
}

/** A kernel that does not say which it is. */
function namelessKernel(): Buffer {
  const kernel = fakeBzImage();
  kernel.writeUInt16LE(0, 0x20e);
  return kernel;
}

/** What is built in but for ext4. */
const SOME = SOUND_BUILTIN.replace(/.*ext4\.ko\n/u, '');

/** A guest with nothing to start but a shell. */
async function replaceInit({ rootfs }: SoundFiles): Promise<void> {
  await changeGuest(rootfs, 'rm /sbin/init', 'rm /bin/sh', 'symlink /bin/sh /usr/lib/systemd/systemd');
}

type Damage = (files: SoundFiles) => unknown;

describe('an image', () => {
  test.for<[name: string, status: Finding['status'], detail: RegExp, damage: Damage]>([
    ['filesystem', 'fail', /does not exist/u, ({ rootfs }) => unlink(rootfs)],
    ['filesystem', 'fail', /is a FIFO/u, ({ rootfs }) => run('sh', ['-c', 'rm "$0"; mkfifo "$0"', rootfs])],
    ['filesystem', 'fail', /not an ext4/u, ({ rootfs }) => writeFile(rootfs, '')],
    ['filesystem', 'fail', /truncated/u, ({ rootfs }) => truncate(rootfs, 2 ** 20)],
    ['filesystem', 'fail', /is damaged: e2fsck/u, ({ rootfs }) => changeGuest(rootfs, 'clri /etc/hostname')],
    ['filesystem', 'fail', /journal/u, ({ rootfs }) => changeGuest(rootfs, 'feature needs_recovery')],
    ['work_seed', 'fail', /does not exist/u, ({ workSeed }) => unlink(workSeed)],
    [
      'work_seed',
      'fail',
      /is damaged: e2fsck/u,
      ({ workSeed }) => changeGuest(workSeed, 'clri /etc/hostname'),
    ],
    ['kernel', 'fail', /does not exist/u, ({ kernel }) => unlink(kernel)],
    ['kernel', 'fail', /not an ELF vmlinux/u, ({ kernel }) => writeFile(kernel, 'kernel')],
    ['kernel', 'warn', /does not tell its version/u, ({ kernel }) => writeFile(kernel, namelessKernel())],
    ['modules', 'warn', /nothing to compare/u, ({ kernel }) => writeFile(kernel, namelessKernel())],
    [
      'modules',
      'warn',
      /no \/lib\/modules\/7\.0, but that of 6\.1\.0-99-test-amd64; .* of another kernel/u,
      ({ kernel }) => writeFile(kernel, fakeBzImage('7.0')),
    ],
    [
      'modules',
      'warn',
      /has no modules\.dep/u,
      ({ rootfs }) => changeGuest(rootfs, `rm /${SOUND_MODULES}/modules.dep`),
    ],
    ['modules_dir', 'fail', /does not exist/u, ({ modules }) => rm(modules, { recursive: true })],
    [
      'drivers',
      'fail',
      /^ext4: not built/u,
      (files) => replace(files, `/${SOUND_MODULES}/modules.builtin`, SOME),
    ],
    ['drivers', 'warn', /cannot be told/u, ({ kernel }) => writeFile(kernel, fakeBzImage('7.0'))],
    [
      'init',
      'fail',
      /is not executable/u,
      ({ rootfs }) => changeGuest(rootfs, 'set_inode_field /usr/lib/systemd/systemd mode 0100644'),
    ],
    [
      'init',
      'fail',
      /too many symbolic links/u,
      ({ rootfs }) => changeGuest(rootfs, 'rm /sbin/init', 'symlink /sbin/init init'),
    ],
    ['init', 'warn', /comes up in a shell/u, (files) => replaceInit(files)],
    ['fstab', 'fail', /line 1 waits for UUID=1/u, (files) => replace(files, '/etc/fstab', 'UUID=1 / ext4\n')],
    ['fstab', 'warn', /line 1 is no entry/u, (files) => replace(files, '/etc/fstab', '/dev/vda\n')],
    ['fstab', 'warn', /work seed belongs/u, (files) => replace(files, '/etc/fstab', 't /root tmpfs\n')],
    [
      'fstab',
      'fail',
      /has 1 GiB/u,
      ({ rootfs }) => changeGuest(rootfs, `set_inode_field /etc/fstab size ${2 ** 30}`),
    ],
    ['fstab', 'fail', /is no regular file/u, (files) => replaceByFifo(files, 'fstab')],
    ['fstab', 'fail', /and 5 more/u, (files) => replace(files, '/etc/fstab', '/dev/x / x\n'.repeat(10))],
    [
      'fstab',
      'warn',
      /not looked at/u,
      (files) => replace(files, '/etc/fstab', '/x /y z bind\n'.repeat(6e4)),
    ],
    [
      'machine_id',
      'fail',
      /all guests would share/u,
      (files) => replace(files, '/etc/machine-id', '0123456789abcdef0123456789abcdef\n'),
    ],
    ['machine_id', 'fail', /is no regular/u, (files) => replaceByFifo(files, 'machine-id')],
  ])('%s may be a %s: %s', async ([name, status, detail, damage]) => {
    const files = await newImage();
    await damage(files);
    const findings = await examine(files);
    const found = findings.find((finding) => finding.name === name);
    expect(found).toMatchObject({ name, status, detail: expect.stringMatching(detail) });
    if (status === 'fail') expect(found?.mend).toMatch(/./u);
    else expect(namesOf(findings, 'fail')).toEqual([]);
  });

  test('is not looked into where its root filesystem is not sound', async () => {
    const files = await newImage();
    await unlink(files.rootfs);
    expect((await examine(files)).map(({ name }) => name)).toEqual([
      'filesystem',
      'work_seed',
      'kernel',
      'drivers',
    ]);
  });

  const drivers = ['virtio_blk.ko', 'virtio-mmio.ko.xz', 'ext4.ko.zst'];
  const below = (directory: string): string[] => drivers.map((name) => `${directory}/${name}`);

  test.for<[what: string, initrd: Buffer, status: Finding['status'], drivers: Finding['status']]>([
    ['them', initrdOf(['init', ...below('lib')]), 'ok', 'ok'],
    ['them below usr', initrdOf(['init', ...below(`usr/${SOUND_MODULES}/kernel`)]), 'ok', 'ok'],
    ['them, and no init', initrdOf(below('lib')), 'warn', 'fail'],
    ['nothing', initrdOf(['init']), 'ok', 'fail'],
    ["another kernel's", initrdOf(['init', ...below('lib/modules/5.0')]), 'warn', 'fail'],
    ['another filesystem in it', initrdOf(['init', 'squashfs-root.img']), 'ok', 'warn'],
    ['a fault', initrdOf(['init', ...below('lib')]).subarray(0, 60), 'fail', 'warn'],
  ])('whose kernel has no drivers may have an initrd with %s', async ([, content, ...statuses]) => {
    const files = await newImage();
    await replace(files, `/${SOUND_MODULES}/modules.builtin`, 'kernel/none.ko\n');
    const initrd = `${files.kernel}.initrd`;
    await writeFile(initrd, content);
    const findings = await examine(files, initrd);
    const statusOf = (name: string) => findings.find((finding) => finding.name === name)?.status;
    expect([statusOf('initrd'), statusOf('drivers')]).toEqual(statuses);
  });

  test('whose initrd is gone is told of', async () => {
    const files = await newImage();
    expect(namesOf(await examine(files, `${files.kernel}.initrd`), 'fail')).toEqual(['initrd']);
  });

  test('is not helped by modules of another kernel where it reaches no disk', async () => {
    const files = await newImage();
    await writeFile(files.kernel, fakeBzImage('7.0'));
    await writeFile(`${files.kernel}.config`, 'CONFIG_MODULES=y\n');
    await changeGuest(files.rootfs, 'mkdir /boot', `write ${files.kernel}.config /boot/config-7.0`);
    expect(namesOf(await examine(files), 'fail')).toEqual(['modules', 'drivers']);
  });

  test('needs no modules where its kernel takes none', async () => {
    const files = await newImage();
    await writeFile(files.kernel, fakeBzImage('7.0'));
    const config = 'CONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_EXT4_FS=y\n';
    await writeFile(`${files.kernel}.config`, config);
    await changeGuest(files.rootfs, 'mkdir /boot', `write ${files.kernel}.config /boot/config-7.0`);
    expect(namesOf(await examine(files), 'ok')).toEqual(expect.arrayContaining(['modules', 'drivers']));
  });
});
