import { mkdir, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import { fakeBzImage } from '../../test/support/images.ts';
import { withFilesystem } from './filesystem.ts';
import { type Bench, type Measured, measure, quote, type Ratio, ratio } from './measure.ts';

const GIB = 1024 ** 3;

export interface Source {
  name: string;
  rootfs: string;
  kernel: string;
}

/** An ext4 image with a file of so many bytes in it. Random bytes stay allocated whatever copies them. */
export async function makeSource(
  directory: string,
  name: string,
  {
    sizeGiB,
    contentGiB,
    content,
  }: { sizeGiB: number; contentGiB: number; content: '/dev/zero' | '/dev/urandom' },
): Promise<Source> {
  const rootfs = join(directory, `${name}.ext4`);
  const kernel = join(directory, `${name}.vmlinuz`);
  const mountpoint = join(directory, `${name}.mnt`);
  await writeFile(kernel, fakeBzImage());
  await writeFile(rootfs, '');
  await truncate(rootfs, sizeGiB * GIB);
  await run('mke2fs', ['-q', '-F', ...['-t', 'ext4'], rootfs]);
  await mkdir(mountpoint);
  await run('mount', ['-o', 'loop', rootfs, mountpoint]);
  try {
    const bytes = Math.ceil(contentGiB * GIB);
    await run('sh', [
      '-c',
      'head -c "$1" "$2" >"$3/content" && sync "$3/content"',
      'sh',
      String(bytes),
      content,
      mountpoint,
    ]);
  } finally {
    await run('umount', [mountpoint]);
  }
  await run('sync', [rootfs]);
  const { blocks } = await stat(rootfs);
  if (blocks * 512 < contentGiB * GIB) throw new Error(`${rootfs} has only ${blocks * 512} bytes allocated`);
  return { name, rootfs, kernel };
}

function promotion({ banger }: Bench, stateDir: string, { name, rootfs, kernel }: Source): Measured {
  const command = (words: string): string => `${banger} ${words} --state-dir ${quote(stateDir)} --quiet`;
  const files = `--rootfs ${quote(rootfs)} --kernel ${quote(kernel)}`;
  return {
    name: `image promote ${name}`,
    command: command(`image promote ${name}`),
    prepare: `${command(`image delete ${name} --yes`)} 2>/dev/null; ${command(`image register ${name} ${files}`)} && sync`,
  };
}

/** Where blocks can be shared, a promote does not grow with the image. */
export async function benchPromoteOnXfs(bench: Bench): Promise<Ratio[]> {
  return withFilesystem('xfs', 16, bench, async (directory) => {
    const large = await makeSource(directory, 'large', {
      sizeGiB: 20,
      contentGiB: 10.1,
      content: '/dev/zero',
    });
    const small = await makeSource(directory, 'small', { sizeGiB: 2, contentGiB: 1.1, content: '/dev/zero' });
    const stateDir = join(directory, 'state');
    const times = await measure(
      bench,
      [promotion(bench, stateDir, large), promotion(bench, stateDir, small)],
      { runs: 15 },
    );
    return [ratio('(b) promote of 20 GiB on XFS', 'of 2 GiB', [times[0], times[1]], 1.3)];
  });
}

/** Where they cannot, it costs what the copy costs. */
export async function benchPromoteOnExt4(bench: Bench): Promise<Ratio[]> {
  return withFilesystem('ext4', 12, bench, async (directory) => {
    const source = await makeSource(directory, 'filled', {
      sizeGiB: 3,
      contentGiB: 2.1,
      content: '/dev/urandom',
    });
    const target = join(directory, 'copy');
    const files = ['rootfs', 'kernel'].map((name) => quote(join(target, name)));
    const copy: Measured = {
      name: 'cp --sparse=always, and sync',
      command: [
        `cp --sparse=always ${quote(source.rootfs)} ${files[0]}`,
        `cp --sparse=always ${quote(source.kernel)} ${files[1]}`,
        `sync ${files.join(' ')} ${quote(target)}`,
      ].join(' && '),
      prepare: `rm -rf ${quote(target)}; mkdir ${quote(target)} && sync`,
    };
    const promote = promotion(bench, join(directory, 'state'), source);
    const times = await measure(bench, [promote, copy], { runs: 8 });
    return [ratio('(c) promote of 2 GiB on ext4', 'cp and sync', [times[0], times[1]], 1.15)];
  });
}
