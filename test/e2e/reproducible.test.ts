import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { readSuperblock } from '../../src/lib/system/superblock.ts';
import { Ballast } from '../support/ballast.ts';
import { type BuiltImage, build, buildArguments, keepNoSteps, makeBase } from '../support/builds.ts';
import { type CliOptions, type Home, testAccounts } from '../support/cli.ts';
import { onDisk } from '../support/disk-home.ts';
import { test } from '../support/fixtures.ts';
import { changeGuest, statGuest } from '../support/guest-files.ts';
import { mountExt4 } from '../support/xfs.ts';

const MIB = 2 ** 20;

/** Names come in another order each time, some at once; what is left behind of times and deleted files differs. */
const STEPS = [
  ...[
    '--run',
    'set -e; mkdir /crowd; for n in $(busybox seq 900 | busybox shuf); do echo $n >/crowd/file-$n; done',
  ],
  ...[
    '--run',
    'mkdir /many; for d in a b c d; do (mkdir /many/$d; for n in $(busybox seq 40 | busybox shuf); do echo $d$n >/many/$d/$n; done) & done; wait',
  ],
  ...[
    '--run',
    'cd /root; echo "$RANDOM" >gone; mkdir -p deep/er; echo hi >deep/file; ln deep/file again; rm gone',
  ],
  ...[
    '--run',
    'cd /root; ln -s short link; ln -s "$(busybox printf %0200d 0)" long; : >empty; busybox truncate -s 40M sparse; echo end >>sparse',
  ],
  ...[
    '--run',
    'set -e; cd /crowd; chmod 4755 file-1; chown 33:42 file-2; busybox mkfifo pipe; busybox dd if=/dev/zero of=zeros bs=1M count=2; echo odd >"$(printf "new\\nline")"; busybox touch -d @100000000 old',
  ],
];

async function buildTwice(
  home: Home,
  options: CliOptions = {},
  steps: readonly string[] = STEPS,
): Promise<[BuiltImage, BuiltImage]> {
  const flags = ['--no-cache', '--reproducible'];
  const one = await build(home, 'one', [...steps, ...flags], options);
  await sleep(2100);
  return [one, await build(home, 'two', [...steps, ...flags], options)];
}

async function expectEqual(one: BuiltImage, two: BuiltImage): Promise<void> {
  expect(two.id).not.toBe(one.id);
  for (const disk of ['rootfs_path', 'work_seed_path'] as const) {
    await run('cmp', [one[disk], two[disk]]);
    await run('e2fsck', ['-fn', one[disk]]);
  }
}

/** All times that a filesystem tells of itself and of one of its files, as seconds since 1970. */
async function timesOf(image: string, path: string): Promise<number[]> {
  const { stdout } = await run('debugfs', ['-R', `stat ${path}`, image]);
  return [...stdout.matchAll(/time: 0x([0-9a-f]{8})/gu)].map(([, hex = '']) => Number.parseInt(hex, 16));
}

describe.each(testAccounts())('as $label', (account) => {
  test('two builds of a recipe are equal byte for byte', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs } = await makeBase(home, { sizeMiB: 32 });
    await changeGuest(
      rootfs,
      'mknod null c 1 3',
      'mknod disk b 8 17',
      'ea_set /root/.profile user.note remembered',
      `ea_set /root/.profile user.long ${'x'.repeat(300)}`,
      'ea_set /bin/busybox trusted.note seen-by-root',
    );
    await run('touch', ['-d', '@1500000000', rootfs]);
    const [one, two] = await buildTwice(home);
    await expectEqual(one, two);
    for (const disk of [one.rootfs_path, one.work_seed_path]) {
      expect(await timesOf(disk, '/')).toEqual(Array(4).fill(1_500_000_000));
    }
    expect(await timesOf(one.rootfs_path, '/crowd/old')).toEqual(Array(4).fill(100_000_000));
    expect(await timesOf(one.work_seed_path, '/.ssh/authorized_keys')).toEqual(Array(4).fill(1_500_000_000));
    expect(await statGuest(one.rootfs_path, '/crowd/file-1')).toMatchObject({ mode: 0o4755 });
    expect(await statGuest(one.rootfs_path, '/crowd/file-2')).toMatchObject({ uid: 33, gid: 42 });
    expect(await statGuest(one.rootfs_path, '/disk')).toMatchObject({ type: 'block special' });
    expect(await statGuest(one.work_seed_path, '/again')).toMatchObject({ links: 2 });

    const other = await build(home, 'three', ['--run', 'true', '--reproducible']);
    const uuids = [one, other].map((image) => readSuperblock(image.rootfs_path).uuid);
    expect(new Set(uuids).size).toBe(2);
    expect(uuids).not.toContain(readSuperblock(rootfs).uuid);
  });

  test('SOURCE_DATE_EPOCH ends all times', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const env = { SOURCE_DATE_EPOCH: '1000000000' };
    const [one, two] = await buildTwice(home, { env }, ['--no-ssh', '--run', 'echo made >/root/made']);
    await expectEqual(one, two);
    expect(await timesOf(one.rootfs_path, '/bin/busybox')).toEqual(Array(4).fill(1_000_000_000));
    const arguments_ = buildArguments('three', '--reproducible');
    expect(await home.fails(2, arguments_, { env: { SOURCE_DATE_EPOCH: '-1' } })).toContain(
      "SOURCE_DATE_EPOCH is '-1'",
    );
    expect(await home.fails(2, arguments_, { env: { SOURCE_DATE_EPOCH: '9000000000' } })).toContain(
      'are in the future',
    );
  });

  test('a finished disk is kept for the same time alone', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    await home.ok(['image', 'promote', 'base']);
    const steps = ['--run', 'echo made >/made'];
    const plain = await build(home, 'plain', steps);
    const one = await build(home, 'one', [...steps, '--reproducible']);
    const two = await build(home, 'two', [...steps, '--reproducible']);
    const dated = await build(home, 'dated', [...steps, '--reproducible'], {
      env: { SOURCE_DATE_EPOCH: '1000000000' },
    });
    await expectEqual(one, two);
    for (const other of [plain, dated]) {
      expect((await run('cmp', [one.rootfs_path, other.rootfs_path], { okExit: 'any' })).exitCode).toBe(1);
    }
    const { document } = await home.json<{ created_at: string }>(['image', 'show', 'base']);
    const [seconds] = await timesOf(one.rootfs_path, '/made');
    expect(seconds).toBe(Math.floor(Date.parse(document.created_at) / 1000));
    const again = [...buildArguments('one'), ...steps, '--reproducible', '--replace', '--if-changed'];
    expect((await home.json<{ outcome: string }>(again)).document.outcome).toBe('fresh');
    const now = again.filter((flag) => flag !== '--reproducible');
    expect((await home.json<{ outcome: string }>(now)).document.outcome).toBe('built');
  });

  test('a guest that mounts its root by UUID keeps it', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs } = await makeBase(home);
    const { uuid } = readSuperblock(rootfs);
    const image = await build(home, 'kept', [
      ...['--run', `echo 'UUID=${uuid} / ext4 defaults 0 1' >/etc/fstab`],
      '--reproducible',
    ]);
    expect(readSuperblock(image.rootfs_path).uuid).toBe(uuid);
  });

  test('what is made from nothing is the same each time', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { kernel } = await makeBase(home);
    const recipe = await home.write('recipe/Containerfile', 'FROM scratch\nRUN echo made >/made\n');
    const images: BuiltImage[] = [];
    for (const name of ['one', 'two']) {
      const { status, document } = await home.json<BuiltImage>([
        ...['image', 'build', name, `${home.directory}/recipe`],
        ...['--file', recipe, '--flavor', 'busybox', '--kernel', kernel, '--size', '64M'],
        ...['--no-cache', '--reproducible'],
      ]);
      expect({ status, document }).toMatchObject({ status: 0 });
      images.push(document);
    }
    const [one, two] = images;
    if (one === undefined || two === undefined) throw new Error('two images were built');
    await expectEqual(one, two);
    expect(await timesOf(one.rootfs_path, '/made')).toEqual(Array(4).fill(315_532_800));
  });
});

describe.runIf(inject('testRun').root).each(testAccounts())('as $label', (account) => {
  test('room for writing a disk once more is looked for before, and missed by name', async () => {
    const disk = await mountExt4(400, account);
    await onDisk(disk, account, async (home) => {
      await keepNoSteps(home);
      await makeBase(home, { sizeMiB: 96, files: { 'var/large': 'x'.repeat(40 * MIB) } });
      const ballast = new Ballast(disk, account);
      await ballast.leaveBytes(75 * MIB);
      const wanted = /^error: build one: [89]\d(?:\.\d)? MiB are wanted on the filesystem at \S+ /mu;
      expect(await home.fails(6, buildArguments('one', '--reproducible'))).toMatch(wanted);
      await build(home, 'plain');
      await ballast.remove();
      await ballast.leaveBytes(110 * MIB);
      const grow = ['--run', 'busybox dd if=/dev/urandom of=/more bs=1M count=25'];
      expect(await home.fails(6, buildArguments('two', ...grow, '--reproducible'))).toMatch(
        /no space left on the filesystem at /u,
      );
      expect(await home.ok(['image', 'list', '--quiet'])).toBe('base\nplain\n');
    });
  });
});
