import { chown, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import { programFor } from '../../test/support/program.ts';
import { type Account, createTestUser, removeTestUser } from '../../test/support/test-user.ts';
import { debianBase } from './debian-base.ts';
import { type Bench, commandLine, measure, quote, type Ratio, ratio } from './measure.ts';

const BY_HAND = resolve(import.meta.dirname, 'build-by-hand');
const PACKAGE = 'tree';
const RUNS = 7;

/** The same Debian as an ordinary user's own. */
async function giveTo(user: Account, home: string, banger: string, base: string): Promise<string> {
  const files = join(home, 'debian-base');
  await mkdir(home, { recursive: true });
  // Node's own copy would fill the holes.
  await run('cp', ['--recursive', '--sparse=auto', '--', base, files]);
  await run('chown', ['-R', `${user.uid}:${user.gid}`, files]);
  await chown(home, user.uid, user.gid);
  const identity = `setpriv --reuid ${user.uid} --regid ${user.gid} --clear-groups env HOME=${quote(home)} ${banger}`;
  const flags = [
    ...['--rootfs', join(files, 'rootfs.ext4')],
    ...['--kernel', join(files, 'kernel')],
    ...['--initrd', join(files, 'initrd.img')],
    ...['--modules', join(files, 'modules')],
  ];
  await run('sh', ['-c', `${identity} image register debian-base ${flags.map(quote).join(' ')}`]);
  return identity;
}

/** A build must not cost much more than what one would type by hand, where nothing is kept of an earlier one. */
export async function benchBuild(bench: Bench, cache: string): Promise<Ratio[]> {
  const { home, directory } = await debianBase(bench, cache);
  const userHome = join(bench.work, 'user');
  const user = await createTestUser(userHome);
  try {
    const program = commandLine(await programFor(user, bench.work));
    const asUser = await giveTo(user, userHome, program, directory);
    const asRoot = `env HOME=${quote(home)} ${bench.banger}`;
    const build = (banger: string): string =>
      `${banger} image build bench --from-image debian-base --preset none --package ${PACKAGE} --no-cache --quiet`;
    const forget = (banger: string): string => `${banger} image delete bench --yes --quiet 2>/dev/null; sync`;
    const target = quote(join(bench.work, 'by-hand'));
    const byHand = `sh ${quote(BY_HAND)} ${quote(directory)} ${target} ${PACKAGE}`;
    const times = await measure(
      bench,
      [
        { name: 'by hand', command: byHand, prepare: `rm -rf ${target}; sync` },
        { name: 'image build, root', command: build(asRoot), prepare: forget(asRoot) },
        { name: 'image build, ordinary user', command: build(asUser), prepare: forget(asUser) },
      ],
      { runs: RUNS },
    );
    await run('sh', ['-c', forget(asRoot)]);
    return [
      ratio('(a) build of a package, root', 'by hand', [times[1], times[0]], 1.15),
      ratio('(a) build of a package, ordinary user', 'by hand', [times[2], times[0]], 2.5),
    ];
  } finally {
    await removeTestUser(user.name);
  }
}
