import { existsSync, readdirSync, statSync } from 'node:fs';
import { chmod, chown, cp, mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import type { Finding } from '../../src/lib/check/finding.ts';
import { run } from '../../src/lib/system/process.ts';
import { registerImage } from '../support/boot-files.ts';
import { buildArguments, makeBase, until, untilPrinted } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { sql } from '../support/registry.ts';
import { inspectKernel } from '../support/verifier-kernel.ts';

interface Shown {
  id: string;
  artifact_dir: string;
  rootfs_path: string;
  kernel_path: string;
}

interface Failure {
  error: { code: string; exit_code: number; hints: string[]; findings: Finding[] };
}

const names = (home: Home): Promise<string> => home.ok(['image', 'list', '--quiet']);

async function makeManaged(home: Home, name: string): Promise<Shown> {
  await registerImage(home, name);
  await home.ok(['image', 'promote', name]);
  return show(home, name);
}

async function show(home: Home, name: string): Promise<Shown> {
  return (await home.json<Shown>(['image', 'show', name])).document;
}

/** The findings of a check that finds something. */
async function findings(home: Home, ...flags: readonly string[]): Promise<Finding[]> {
  const { status, document } = await home.json<Failure>(['check', ...flags]);
  expect([status, document.error?.code]).toEqual([11, 'corrupt']);
  return document.error.findings;
}

const problems = (found: readonly Finding[]): string[] => found.map(({ problem }) => problem);

/** Something made by hand in the state directory, owned as the state is. */
async function plant(home: Home, path: string, content: string): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  await writeFile(join(path, 'file'), content);
  for (const made of [path, join(path, 'file')]) await chown(made, home.account.uid, home.account.gid);
}

describe.each(testAccounts())('check as $label', (account) => {
  test('finds nothing where nothing is wrong, not even beside a build', async ({ makeHome }) => {
    const home = await makeHome(account);
    expect(await home.ok(['check'])).toBe('0 images checked, nothing is wrong\n');
    expect(existsSync(home.stateDir)).toBe(false);
    await makeBase(home);
    await makeManaged(home, 'ours');
    const building = home.start(buildArguments('long', '--run', 'echo "up and $((40+2))"; sleep 3600'));
    await untilPrinted(home, 'up and 42');
    expect(await home.ok(['check', '--deep', '--quiet'])).toBe('2 images checked, nothing is wrong\n');
    expect((await home.json<Finding[]>(['check', '--repair'])).document).toEqual([]);
    building.kill('SIGTERM');
    expect((await building.result).status).toBe(143);
    const { status, stdout, stderr } = await home.run(['check', '--deep']);
    expect([status, stdout]).toEqual([0, '2 images checked, nothing is wrong\n']);
    expect(stderr).toBe('checking base (1 of 2)\nchecking ours (2 of 2)\n');
  });

  test('names what an image has lost, and leaves the others alone', async ({ makeHome }) => {
    const home = await makeHome(account);
    const sound = await makeManaged(home, 'sound');
    const broken = await makeManaged(home, 'broken');
    const short = await makeManaged(home, 'short');
    const linked = await makeManaged(home, 'linked');
    const theirs = await registerImage(home, 'theirs');
    await rm(broken.kernel_path);
    await truncate(short.rootfs_path, 4 * 1024 * 1024);
    await rm(linked.kernel_path);
    await symlink(theirs.kernel, linked.kernel_path);
    await rm(theirs.rootfs);
    const found = await findings(home);
    const told = new Map(found.map(({ image, problem, path }) => [image, [problem, path]]));
    expect(told).toEqual(
      new Map([
        ['broken', ['missing_file', broken.kernel_path]],
        ['short', ['unusable_file', short.rootfs_path]],
        ['linked', ['unusable_file', linked.kernel_path]],
        ['theirs', ['missing_file', theirs.rootfs]],
      ]),
    );
    const { status, stdout, stderr } = await home.run(['check']);
    expect(status).toBe(11);
    expect(stdout).toMatch(/^problem +broken +kernel .* does not exist$/mu);
    expect(stdout).toContain('→ banger image delete broken\n');
    expect(stdout).toContain('→ banger image register theirs --rootfs FILE --kernel FILE\n');
    expect(stdout).toMatch(/\n5 images checked, 4 problems\n$/u);
    expect(stderr).toMatch(/^error: registry and disk do not agree: 4 problems\n/u);

    const before = statSync(sound.rootfs_path, { bigint: true });
    const after = await findings(home, '--repair');
    expect(after.filter(({ repaired }) => repaired)).toEqual([]);
    const { ino, mtimeNs, ctimeNs } = statSync(sound.rootfs_path, { bigint: true });
    expect([ino, mtimeNs, ctimeNs]).toEqual([before.ino, before.mtimeNs, before.ctimeNs]);
    expect(await names(home)).toBe('broken\nlinked\nshort\nsound\ntheirs\n');
    await home.ok(['image', 'show', 'broken']);
    await home.ok(['image', 'delete', '--yes', '--purge', 'broken', 'short', 'linked', 'theirs']);
    expect(await home.ok(['check', '--deep', '--quiet'])).toBe('1 image checked, nothing is wrong\n');
  });

  test('looks into filesystems when asked to', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs_path } = await makeManaged(home, 'worn');
    await run('debugfs', ['-w', '-R', 'sif <2> links_count 9', rootfs_path]);
    expect(await home.ok(['check'])).toBe('1 image checked, nothing is wrong\n');
    const [found] = await findings(home, '--deep');
    expect(found).toMatchObject({ problem: 'damaged_filesystem', image: 'worn', path: rootfs_path });
    expect(found?.mend).toContain(rootfs_path);
    await home.ok(['image', 'delete', 'worn', '--purge']);
  });

  test('finds what nobody has, which a repair alone moves, and nobody removes', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeManaged(home, 'ours');
    const { document } = await home.json<{ id: string }>([
      ...['image', 'register', 'second'],
      ...(await flagsOf(home, 'second')),
    ]);
    const unknown = join(home.stateDir, 'images', `${'f'.repeat(32)}.build-123456`);
    const inTheWay = join(home.stateDir, 'images', document.id);
    await plant(home, unknown, 'mine');
    await plant(home, inTheWay, 'in the way');

    // The place where an image would go is taken: a promote says whom to ask.
    expect(await home.fails(11, ['image', 'promote', 'second'])).toContain('→ banger check --repair\n');
    expect(existsSync(join(unknown, 'file'))).toBe(true);
    const found = await findings(home);
    expect(found.map(({ problem, path, repair }) => [problem, path, repair])).toEqual(
      [unknown, inTheWay]
        .sort()
        .map((path) => ['unknown_entry', path, `move it to ${home.stateDir}/lost+found`])
        .filter(([, path]) => path !== inTheWay),
    );
    await home.ok(['image', 'delete', 'second']);

    const repaired = await home.json<Finding[]>(['check', '--repair']);
    expect(repaired.status).toBe(0);
    expect(repaired.document.map((one) => [one.problem, one.repaired])).toEqual([
      ['unknown_entry', true],
      ['unknown_entry', true],
    ]);
    const lost = join(home.stateDir, 'lost+found');
    expect(readdirSync(lost).sort()).toEqual([document.id, `${'f'.repeat(32)}.build-123456`].sort());
    expect(readdirSync(join(home.stateDir, 'images'))).toHaveLength(1);
    // A second one of the same name finds another place.
    await plant(home, unknown, 'mine too');
    await home.ok(['check', '--repair']);
    expect(readdirSync(lost)).toContain(`${'f'.repeat(32)}.build-123456.1`);
    expect(await home.ok(['check'])).toMatch(
      /^note +- +3 things wait to be looked at in .*lost\+found\n +→ ls -l .*\n1 image checked, nothing is wrong\n$/u,
    );
  });

  test('knows an operation that died, and a repair takes it up', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const building = home.start(buildArguments('dead', '--run', 'echo "died at $((40+2))"; sleep 3600'));
    await untilPrinted(home, 'died at 42');
    building.kill('SIGKILL');
    await building.result;
    await until('nothing left of it', () => inspectKernel(home.stateDir).length === 0);
    expect(problems(await findings(home))).toEqual(['dead_operation']);
    const { status, document } = await home.json<Finding[]>(['check', '--repair']);
    expect(status).toBe(0);
    expect(document).toMatchObject([{ problem: 'dead_operation', image: 'dead', repaired: true }]);
    expect(readdirSync(join(home.stateDir, 'images'))).toEqual([]);
    expect(await home.ok(['check'])).toBe('1 image checked, nothing is wrong\n');
  });

  test('closes what is open to others, and lets go of what is reserved for nobody', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { artifact_dir, id } = await makeManaged(home, 'open');
    await chmod(artifact_dir, 0o755);
    await chmod(home.stateDir, 0o750);
    sql(
      home,
      `INSERT INTO reservations SELECT id, 'image', '${id}', 'exclusive' FROM operations WHERE kind = 'promote'`,
    );
    expect(await home.fails(5, ['image', 'rename', 'open', 'closed'])).toContain('is in use by promote');
    expect(problems(await findings(home))).toEqual(['stale_reservation', 'open_to_others', 'open_to_others']);
    const { document } = await home.json<Finding[]>(['check', '--repair']);
    expect(document.map(({ repaired }) => repaired)).toEqual([true, true, true]);
    await home.ok(['image', 'rename', 'open', 'closed']);
    expect(await home.ok(['check'])).toBe('1 image checked, nothing is wrong\n');
  });

  test('finds the files of a state directory that was moved, or copied', async ({ makeHome }) => {
    const home = await makeHome(account);
    const ours = await makeManaged(home, 'ours');
    const copied = join(home.directory, 'copied');
    await cp(home.stateDir, copied, { recursive: true, preserveTimestamps: true });
    await run('chown', ['-R', `${account.uid}:${account.gid}`, copied]);
    const there = ['--state-dir', copied];

    // What is deleted in the copy must not go from the original.
    expect(await home.fails(11, ['image', 'delete', 'ours', ...there])).toContain(
      '→ banger check --repair\n',
    );
    expect(existsSync(ours.rootfs_path)).toBe(true);
    const [found] = await findings(home, ...there);
    expect(found).toMatchObject({ problem: 'moved_image', image: 'ours', path: ours.artifact_dir });
    await home.ok(['check', '--repair', ...there]);
    await home.ok(['image', 'delete', 'ours', '--purge', ...there]);
    expect(readdirSync(join(copied, 'images'))).toEqual([]);
    expect(existsSync(ours.rootfs_path)).toBe(true);
    await home.ok(['image', 'show', 'ours']);

    const moved = join(home.directory, 'moved');
    await rename(home.stateDir, moved);
    const flags = ['--state-dir', moved];
    await home.ok(['image', 'list', ...flags]);
    expect(problems(await findings(home, ...flags))).toEqual(['moved_image']);
    await home.ok(['check', '--repair', '--deep', ...flags]);
    expect(await home.ok(['check', '--deep', '--quiet', ...flags])).toBe(
      '1 image checked, nothing is wrong\n',
    );
    const { document } = await home.json<Shown>(['image', 'show', 'ours', ...flags]);
    expect(document.rootfs_path).toBe(join(moved, 'images', document.id, 'rootfs.ext4'));
  });

  async function flagsOf(home: Home, name: string): Promise<string[]> {
    const { rootfs, kernel } = await registerImage(home, `files-of-${name}`);
    await home.ok(['image', 'delete', `files-of-${name}`]);
    return ['--rootfs', rootfs, '--kernel', kernel];
  }
});

describe('check', () => {
  const { user } = inject('testRun');

  test('says that the registry itself is damaged', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'theirs');
    const elsewhere = join(home.directory, 'elsewhere');
    await cp(home.stateDir, elsewhere, { recursive: true });
    await run('chown', ['-R', `${user.uid}:${user.gid}`, elsewhere]);
    // An index that lacks a row: SQLite reads on, until it is asked to look.
    const damage =
      "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'WHERE state = ''running''', 'WHERE state <> ''running''') WHERE name = 'operations_running'";
    await run('sqlite3', [join(elsewhere, 'banger.db'), damage]);
    const [found] = await findings(home, '--state-dir', elsewhere);
    expect(found).toMatchObject({ problem: 'damaged_registry', repair: null });
    expect(found?.mend).toContain('.recover');
    await truncate(join(elsewhere, 'banger.db'), 8192);
    expect(await home.fails(11, ['check', '--state-dir', elsewhere])).toContain('banger.db');
  });

  test('names a row that refers to nothing', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'theirs');
    const vm =
      "INSERT INTO vms (id, name, image_id, created_at) VALUES ('v', 'web', 'nobody', '2026-01-01T00:00:00.000Z')";
    await run('sqlite3', [join(home.stateDir, 'banger.db'), `PRAGMA foreign_keys = OFF; ${vm}`]);
    const [found] = await findings(home);
    expect(found).toMatchObject({ problem: 'dangling_row' });
    expect(found?.detail).toMatch(/^row \d+ of vms refers to a row of images that is not there$/u);
    sql(home, 'DELETE FROM vms');
  });
});
