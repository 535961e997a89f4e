import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { chown, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { AptRepository, makeAptTree } from '../support/apt-repository.ts';
import {
  type BuiltImage,
  build,
  buildArguments,
  failToBuild,
  journalOf,
  makeBase,
  readLogs,
  until,
  untilPrinted,
} from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test as base } from '../support/fixtures.ts';
import { listGuest, readGuest } from '../support/guest-files.ts';
import { inspectKernel } from '../support/verifier-kernel.ts';

/** Several builds of an ordinary user take their time where much else runs. */
const TIMEOUT_MS = 180_000;
const [HELLO, WORLD] = ['hello from its package', 'world from its package'];

const test = base.extend<{ repository: AptRepository }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures this one wants
  repository: async ({}, use) => {
    const repository = await AptRepository.make({ hello: HELLO, world: WORLD });
    try {
      await use(repository);
    } finally {
      await repository.close();
    }
  },
});

/** Registers a guest with apt as `base`. */
async function makeAptBase(home: Home, repository: AptRepository): Promise<void> {
  const tree = await mkdtemp(join(tmpdir(), 'banger-apt-tree-'));
  try {
    await makeAptTree(tree, repository.source);
    await chown(tree, 0, 0);
    await makeBase(home, { tree, sizeMiB: 128 });
  } finally {
    await rm(tree, { recursive: true });
  }
}

/** Builds without the states that are kept of steps. */
function buildAnew(home: Home, name: string, ...steps: string[]): Promise<BuiltImage> {
  return build(home, name, ['--preset', 'none', '--no-cache', ...steps]);
}

async function expectNothingOfApt({ rootfs_path: rootfs }: BuiltImage): Promise<void> {
  const left = await Promise.all(
    ['/var/lib/apt/lists', '/var/lib/apt/lists/partial', '/var/cache/apt', '/var/cache/apt/archives'].map(
      (directory) => listGuest(rootfs, directory),
    ),
  );
  expect(left.flat().filter((name) => !['partial', 'archives'].includes(name))).toEqual([]);
}

function linkIn(lists: string): string {
  const [link = ''] = readdirSync(lists, { withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink())
    .map(({ name }) => name);
  return link;
}

function stored(home: Home): string[] {
  return readdirSync(join(home.stateDir, 'mounts/apt/archives'));
}

describe.each(testAccounts())('as $label', (account) => {
  test('what one build fetched is there for all', { timeout: TIMEOUT_MS }, async ({
    makeHome,
    repository,
  }) => {
    const home = await makeHome(account);
    await makeAptBase(home, repository);
    const one = await buildAnew(home, 'one', '--package', 'hello');
    expect(repository.asked()).toEqual(['200 Release', '200 Packages', '200 hello_1.0_all.deb']);
    await expectNothingOfApt(one);
    repository.isEmpty = true;
    const two = await buildAnew(home, 'two', '--package', 'hello');
    expect(repository.asked()).toEqual(['304 Release']);
    expect(await readGuest(two.rootfs_path, '/hello')).toBe(HELLO);
    await expectNothingOfApt(two);
    expect(await readLogs(home)).toMatch(/ Hit:\d+ http/u);

    // Nothing but packages between them: the lists are as new as they were. After a command they need not be.
    repository.isEmpty = false;
    const steps = ['--package', 'world', '--run', 'true', '--package', 'hello'];
    await buildAnew(home, 'three', ...steps);
    expect(repository.asked()).toEqual(['304 Release', '200 world_1.0_all.deb', '304 Release']);
    await home.ok(['check']);
  });

  test('a disk that has asked within the hour does not ask again', { timeout: TIMEOUT_MS }, async ({
    makeHome,
    repository,
  }) => {
    const home = await makeHome(account);
    await makeAptBase(home, repository);
    const install = (name: string, ...more: string[]): Promise<BuiltImage> =>
      build(home, name, ['--preset', 'none', ...more]);
    await install('one', '--package', 'hello');
    repository.asked();
    await install('two', '--package', 'world');
    expect(repository.asked()).toEqual(['200 world_1.0_all.deb']);
    // A command of the user's that counts on lists, too; and the disk after it, when it has asked itself.
    await install('three', '--run', 'apt-get install -y world');
    expect(repository.asked()).toEqual(['304 Release']);
    await install('four', '--run', 'apt-get install -y world hello');
    expect(repository.asked()).toEqual([]);

    const lists = join(home.stateDir, 'mounts/apt/lists');
    const proofs = (): string[] => {
      const states = join(lists, linkIn(lists), 'states');
      return readdirSync(states).map((name) => join(states, name));
    };
    expect(proofs()).toHaveLength(2);
    // What is an hour old, and what is of a time to come, is asked for, and so it is where all is to be done anew.
    const both = ['--package', 'world', '--package', 'hello'];
    for (const minutes of [-61, 60]) {
      const time = new Date(Date.now() + minutes * 60_000);
      for (const proof of proofs()) await utimes(proof, time, time);
      await install(`aged${minutes}`, ...(minutes < 0 ? both : ['--package', 'hello', '--package', 'world']));
      expect(repository.asked()).toEqual(['304 Release']);
    }
    for (const flag of ['--refresh', '--no-cache']) {
      await install(`anew${flag}`, ...both, flag);
      expect(repository.asked()).toEqual(['304 Release']);
    }
    await home.ok(['check']);
  });

  test('lists that are too old after all are fetched again', { timeout: TIMEOUT_MS }, async ({
    makeHome,
    repository,
  }) => {
    const home = await makeHome(account);
    await makeAptBase(home, repository);
    const args = ['--preset', 'none', '--package'];
    await build(home, 'one', [...args, 'hello']);
    await build(home, 'command', ['--preset', 'none', '--run', 'apt-get install -y hello']);
    await sleep(1100);
    await repository.publish({ later: 'came later' });
    const two = await build(home, 'two', [...args, 'later']);
    expect(await readGuest(two.rootfs_path, '/later')).toBe('came later');
    expect(repository.asked()).toContain('200 later_1.0_all.deb');
    expect(await readLogs(home)).toContain('package lists: they may be too old, and are fetched again');

    // A command of the user's is not tried twice, but whoever tries again finds what is new.
    await sleep(1100);
    await repository.publish({ last: 'came last' });
    const command = ['--preset', 'none', '--run', 'apt-get install -y last'];
    await failToBuild(home, 'three', command);
    await build(home, 'three', command);
  });

  test('a command of a recipe, or of a flag, takes part in it, whatever it removes', {
    timeout: TIMEOUT_MS,
  }, async ({ makeHome, repository }) => {
    const home = await makeHome(account);
    await makeAptBase(home, repository);
    const clean = 'rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb';
    const recipe = await home.write(
      'context/Containerfile',
      `FROM base\nRUN apt-get update && apt-get install -y hello\nRUN ${clean}\nRUN apt-get install -y world\n`,
    );
    const build = (name: string) =>
      home.json<BuiltImage>([
        ...['image', 'build', name, '--file', recipe, join(recipe, '..')],
        ...['--no-cache', '--preset', 'none'],
      ]);
    const { status, document: one } = await build('one');
    expect([status, JSON.stringify(one)]).toEqual([0, expect.any(String)]);
    await expectNothingOfApt(one);
    const first = repository.asked();
    expect(first.filter((line) => line.startsWith('200')).sort()).toEqual(
      ['200 Packages', '200 Release', '200 hello_1.0_all.deb', '200 world_1.0_all.deb'].sort(),
    );
    expect(stored(home)).toHaveLength(2);
    repository.isEmpty = true;
    const { document: two } = await build('two');
    expect([await readGuest(two.rootfs_path, '/hello'), await readGuest(two.rootfs_path, '/world')]).toEqual([
      HELLO,
      WORLD,
    ]);
    expect(repository.asked().filter((line) => !line.startsWith('304'))).toEqual([]);
    const flags = await buildAnew(home, 'three', '--run', 'apt-get install -y hello; apt-get clean');
    expect(await readGuest(flags.rootfs_path, '/hello')).toBe(HELLO);
    await expectNothingOfApt(flags);
  });

  test('what a guest writes over is of no use to others', { timeout: TIMEOUT_MS }, async ({
    makeHome,
    repository,
  }) => {
    const home = await makeHome(account);
    await makeAptBase(home, repository);
    // apt looks at the size of a package file alone, and of lists that are the newest at their Release file.
    const forge = [
      'set -e; cd /var/cache/apt/archives',
      'sed -i "s/hello from/HELLO FROM/" hello_*.deb',
      'digest=$(busybox sha256sum hello_*.deb | busybox cut -c -64)',
      'echo "$digest" >/digest',
    ].join('\n');
    const tools = ['--run', 'ln -s busybox /bin/sed'];
    const forged = await buildAnew(
      home,
      'forged',
      ...tools,
      ...['--package', 'hello', '--run', forge, '--package', 'world'],
    );
    const digest = (await readGuest(forged.rootfs_path, '/digest')).trim();
    expect(stored(home)).toContain(digest);
    const lists = join(home.stateDir, 'mounts/apt/lists');
    const [set = ''] = readdirSync(lists).filter((name) => name.includes('.'));
    const indexes = join(lists, set, 'lists');
    const [index = ''] = readdirSync(indexes).filter((name) => name.endsWith('_Packages'));
    const path = join(indexes, index);
    const forgedIndex = (await readFile(path, 'utf8')).replace(
      /(Package: hello\n[\s\S]*?SHA256: )\S+/u,
      `$1${digest}`,
    );
    await writeFile(path, forgedIndex);
    expect(forgedIndex).toContain(digest);
    // It would vouch for the index, if apt did not throw away what belongs to no source.
    const sum = createHash('sha256').update(forgedIndex).digest('hex');
    const stray = join(indexes, index.replace('._Packages', 'Release'));
    await writeFile(stray, `SHA256:\n ${sum} ${forgedIndex.length} ./Packages\n`);
    const next = await buildAnew(home, 'next', '--package', 'hello');
    expect(await readGuest(next.rootfs_path, '/hello')).toBe(HELLO);
    expect(await readLogs(home)).toMatch(/package lists: \S+_Packages is not what its repository signed/u);
    expect(await readFile(join(lists, linkIn(lists), 'lists', index), 'utf8')).not.toContain(digest);
    // Nor is what a disk has spoiled.
    for (const name of stored(home)) {
      const archive = join(home.stateDir, 'mounts/apt/archives', name);
      await writeFile(archive, (await readFile(archive)).fill(0));
    }
    const after = await buildAnew(home, 'after', '--package', 'hello');
    expect(await readGuest(after.rootfs_path, '/hello')).toBe(HELLO);
    expect(repository.asked()).toContain('200 hello_1.0_all.deb');
    await home.ok(['check']);
  });

  test('a link that a guest leaves leads nowhere', { timeout: TIMEOUT_MS }, async ({
    makeHome,
    repository,
  }) => {
    const home = await makeHome(account);
    await makeAptBase(home, repository);
    await buildAnew(home, 'one', '--package', 'hello');
    const outside = join(home.directory, 'outside');
    await home.write('outside/file', '');
    await chown(outside, account.uid, account.gid);
    await buildAnew(
      home,
      'linked',
      ...['--run', `mv /var/cache/apt/archives /var/cache/apt/old; ln -s ${outside} /var/cache/apt/archives`],
      ...['--package', 'hello'],
    );
    expect(readdirSync(outside)).toEqual(['file']);
    await home.ok(['check']);
  });

  test('a build that is killed leaves nothing but what is whole', { timeout: TIMEOUT_MS }, async ({
    makeHome,
    repository,
  }) => {
    const home = await makeHome(account);
    await makeAptBase(home, repository);
    const script = [
      'busybox mkdir -p /var/cache/apt/archives/partial/deep',
      'busybox touch /var/cache/apt/archives/partial/deep/half.deb',
      'busybox chmod -R 700 /var/cache/apt/archives/partial /var/lib/apt/lists/partial',
      'busybox chown -R 100:65534 /var/cache/apt/archives/partial /var/lib/apt/lists/partial',
      'echo "in $((1+1)) steps"; sleep 3600',
    ].join('; ');
    const running = home.start(
      buildArguments('killed', ...['--preset', 'none'], ...['--package', 'hello', '--run', script]),
    );
    await untilPrinted(home, 'in 2 steps');
    const { pid } = await journalOf(home, 'killed');
    process.kill(pid, 'SIGKILL');
    await running.result;
    await until('nothing left', () => inspectKernel(home.stateDir).length === 0);
    const { status, stderr } = await home.run(['image', 'rename', 'base', 'other']);
    expect([status, stderr]).toEqual([0, expect.not.stringContaining('could be removed')]);
    await home.ok(['image', 'rename', 'other', 'base']);
    await buildAnew(home, 'next', '--package', 'hello');
    expect((await journalOf(home, 'killed')).state).toBe('interrupted');
    expect(repository.asked()).toEqual([
      ...['200 Release', '200 Packages', '200 hello_1.0_all.deb'],
      '304 Release',
    ]);
    expect(stored(home)).toHaveLength(1);
    expect(existsSync(join(home.stateDir, 'mounts/apt/lists'))).toBe(true);
  });
});
