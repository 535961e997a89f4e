import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findTool } from '../../src/lib/system/preflight.ts';
import { run } from '../../src/lib/system/process.ts';
import { debianKernel } from '../../test/support/kernel.ts';
import { debianBase } from './debian-base.ts';
import { withFilesystem } from './filesystem.ts';
import { type Bench, type Measured, measure, quote, type Ratio, ratio } from './measure.ts';
import { makeSource, type Source } from './promote.ts';

// Whether this machine's KVM works or hangs its guests nobody knows.
const TCG = '--accel tcg';
const PACKAGE = 'tree';

/** Where blocks can be shared, a VM's disks do not cost more the larger the image is. */
export async function benchVmCreate(bench: Bench): Promise<Ratio[]> {
  return withFilesystem('xfs', 24, bench, async (directory) => {
    const content = { content: '/dev/zero' } as const;
    const large = await makeSource(directory, 'large', { sizeGiB: 20, contentGiB: 10.1, ...content });
    const small = await makeSource(directory, 'small', { sizeGiB: 2, contentGiB: 1.1, ...content });
    const banger = (words: string): string =>
      `${bench.banger} ${words} --state-dir ${quote(join(directory, 'state'))} --quiet`;
    const creation = async ({ name, rootfs, kernel }: Source): Promise<Measured> => {
      const files = `--rootfs ${quote(rootfs)} --kernel ${quote(kernel)}`;
      await run('sh', [
        '-c',
        `${banger(`image register ${name} ${files}`)} && ${banger(`image promote ${name}`)}`,
      ]);
      return {
        name: `vm create from ${name}`,
        command: banger(`vm create ${name} --image ${name}`),
        prepare: `${banger(`vm delete ${name} --yes`)} 2>/dev/null; sync`,
      };
    };
    const times = await measure(bench, [await creation(large), await creation(small)], { runs: 15 });
    return [ratio('(f) vm create of 20 GiB on XFS', 'of 2 GiB', [times[0], times[1]], 1.3)];
  });
}

/** From a command line to the word that an image is up, over its kernel and initrd alone: both emulated. */
export async function benchBoot(bench: Bench): Promise<Ratio[]> {
  const { kernel, modules } = await debianKernel();
  const banger = `env HOME=${quote(join(bench.work, 'boot'))} ${bench.banger}`;
  const flags = `--flavor busybox --kernel ${quote(kernel)} --modules ${quote(modules)} --quiet`;
  await run('sh', ['-c', `${banger} image bootstrap tiny ${flags}`]);
  const { stdout } = await run('sh', ['-c', `${banger} image show tiny --json`]);
  const image = JSON.parse(stdout) as { rootfs_path: string; kernel_path: string; initrd_path: string };
  const byHand = join(bench.work, 'boot-by-hand');
  // The guest's first program ends the machine, as soon as there is one.
  await writeFile(
    byHand,
    `cp --sparse=always ${quote(image.rootfs_path)} ${quote(`${byHand}.ext4`)}
khz=$(awk -F: '/cpu MHz/ { printf "%d", $2 * 1000; exit }' /proc/cpuinfo)
exec qemu-system-x86_64 -machine microvm,acpi=on,rtc=on -accel tcg -cpu max -m 512M -nodefaults -no-user-config \\
  -no-reboot -display none -serial stdio -kernel ${quote(image.kernel_path)} -initrd ${quote(image.initrd_path)} \\
  -append "console=ttyS0 reboot=t panic=-1 tsc_early_khz=$khz root=/dev/vda rw init=/bin/busybox -- poweroff -f" \\
  -drive if=none,id=d,format=raw,file=${quote(`${byHand}.ext4`)} -device virtio-blk-device,drive=d </dev/null >/dev/null
`,
  );
  const times = await measure(
    bench,
    [
      { name: 'image verify --boot', command: `${banger} image verify tiny --boot ${TCG} >/dev/null` },
      { name: 'by hand, to the first program', command: `sh ${quote(byHand)}` },
    ],
    { runs: 7 },
  );
  return [ratio('(g) busybox boot until it is up', 'QEMU by hand', [times[0], times[1]], 2)];
}

/** A package into Debian, by a machine, emulated both times. */
export async function benchVmBuilder(bench: Bench, cache: string): Promise<Ratio[]> {
  if ((await findTool('virt-customize')) === null) {
    process.stdout.write(
      '  not measured: virt-customize is not installed (apt-get install libguestfs-tools)\n',
    );
    return [];
  }
  const { home, directory } = await debianBase(bench, cache);
  const banger = `env HOME=${quote(home)} ${bench.banger}`;
  const flags = `--from-image debian-base --preset none --package ${PACKAGE} --no-cache --builder vm ${TCG} --memory 1G`;
  const copy = join(bench.work, 'customized.ext4');
  const settings = 'LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg LIBGUESTFS_MEMSIZE=1024';
  const times = await measure(
    bench,
    [
      {
        name: 'image build --builder vm',
        command: `${banger} image build bench-vm ${flags} --quiet`,
        prepare: `${banger} image delete bench-vm --yes --quiet 2>/dev/null; sync`,
      },
      {
        name: 'virt-customize',
        command: `cp --sparse=always ${quote(join(directory, 'rootfs.ext4'))} ${quote(copy)} && ${settings} virt-customize --format raw -a ${quote(copy)} --install ${PACKAGE} >/dev/null`,
        prepare: `rm -f ${quote(copy)}; sync`,
      },
    ],
    { runs: 3 },
  );
  return [ratio('(h) package by the vm builder', 'virt-customize', [times[0], times[1]], 0.65)];
}
