import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { AptRepository, makeAptTree } from '../support/apt-repository.ts';
import {
  type BuiltImage,
  build,
  buildArguments,
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
    const [index = ''] = readdirSync(join(lists, set)).filter((name) => name.endsWith('_Packages'));
    const path = join(lists, set, index);
    const forgedIndex = (await readFile(path, 'utf8')).replace(
      /(Package: hello\n[\s\S]*?SHA256: )\S+/u,
      `$1${digest}`,
    );
    await writeFile(path, forgedIndex);
    expect(forgedIndex).toContain(digest);
    // It would vouch for the index, if apt did not throw away what belongs to no source.
    const sum = createHash('sha256').update(forgedIndex).digest('hex');
    const stray = join(lists, set, index.replace('._Packages', 'Release'));
    await writeFile(stray, `SHA256:\n ${sum} ${forgedIndex.length} ./Packages\n`);
    const next = await buildAnew(home, 'next', '--package', 'hello');
    expect(await readGuest(next.rootfs_path, '/hello')).toBe(HELLO);
    expect(await readLogs(home)).toMatch(/package lists: \S+_Packages is not what its repository signed/u);
    expect(await readFile(join(lists, linkIn(lists), index), 'utf8')).not.toContain(digest);
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
