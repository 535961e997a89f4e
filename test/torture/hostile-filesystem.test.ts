import { truncateSync } from 'node:fs';
import { chown, copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { fakeBzImage, makeRootfs } from '../support/images.ts';
import { type Damage, damagesOf, SCATTERED, scatteredContent } from './damage.ts';
import { type Attempt, attempt, complaintOf } from './hostile-attempt.ts';
import { SEED, Seeded } from './seeded.ts';
import { count, sample, WHOLE } from './tally.ts';

const TIB = 2 ** 40;
/** ext4 with blocks of 4 KiB holds no larger file; a machine's own filesystem may hold less. */
const HUGE_BYTES = 16 * TIB - 4096;

/** Two names whose files are replaced by damaged ones: one as the rootfs of an image, one as its work seed. */
class Victims {
  readonly complaints: string[] = [];
  readonly tried = {
    'image register': 0,
    'image promote': 0,
    'image build': 0,
    'image diff': 0,
    'image sbom': 0,
    'image show': 0,
  };
  readonly outcomes = new Set<number>();
  readonly #home: Home;
  readonly #good: string;
  readonly #kernel: string;
  readonly #rootfs: string;
  readonly #seed: string;

  static async make(home: Home, good: string): Promise<Victims> {
    const kernel = await home.write('kernel', fakeBzImage());
    return new Victims(home, good, kernel);
  }

  private constructor(home: Home, good: string, kernel: string) {
    this.#home = home;
    this.#good = good;
    this.#kernel = kernel;
    this.#rootfs = join(home.directory, 'victim.ext4');
    this.#seed = join(home.directory, 'seed.disk');
  }

  async #put(path: string, damage?: Damage): Promise<void> {
    await rm(path, { force: true });
    await copyFile(this.#good, path);
    if (damage !== undefined) {
      await damage.apply(path);
      const { exitCode } = await run('cmp', ['-s', this.#good, path], { okExit: 'any' });
      if (exitCode !== 1) throw new Error(`${damage.name}: nothing was damaged`);
    }
    await chown(path, this.#home.account.uid, this.#home.account.gid);
  }

  #flags(workSeed: boolean): string[] {
    const flags = ['--rootfs', this.#rootfs, '--kernel', this.#kernel];
    return workSeed ? [...flags, '--work-seed', this.#seed] : flags;
  }

  async #try(what: keyof Victims['tried'], of: string, args: readonly string[]): Promise<Attempt> {
    this.tried[what] += 1;
    const tried = await attempt(this.#home, args);
    this.outcomes.add(tried.status);
    const unsound = await complaintOf(this.#home);
    for (const complaint of [tried.complaint, unsound]) {
      if (complaint !== null) this.complaints.push(`${of}: ${args.slice(1, 3).join(' ')}: ${complaint}`);
    }
    return tried;
  }

  /** A damaged rootfs: registered, read, promoted, and as the base of a build. */
  async asRootfs(damage: Damage, commands: readonly ('promote' | 'build')[]): Promise<void> {
    await this.#put(this.#rootfs);
    await this.#home.ok(['image', 'register', 'victim', ...this.#flags(false)]);
    await this.#put(this.#rootfs, damage);
    await this.#try('image register', damage.name, ['image', 'register', 'victim', ...this.#flags(false)]);
    await this.#try('image diff', damage.name, ['image', 'diff', 'victim', 'victim']);
    await this.#try('image sbom', damage.name, ['image', 'sbom', 'victim']);
    await this.#try('image show', damage.name, ['image', 'show', 'victim', '--tree-digest']);
    if (commands.includes('build')) {
      const args = ['image', 'build', 'made', '--from-image', 'victim', '--run', 'echo made >/made'];
      const { status } = await this.#try('image build', damage.name, args);
      if (status === 0) await this.#home.ok(['image', 'delete', 'made']);
    }
    if (commands.includes('promote')) {
      await this.#try('image promote', damage.name, ['image', 'promote', 'victim']);
    }
    await this.#home.ok(['image', 'delete', 'victim']);
  }

  async asWorkSeed(damage: Damage): Promise<void> {
    await this.#put(this.#rootfs);
    await this.#put(this.#seed);
    await this.#home.ok(['image', 'register', 'victim', ...this.#flags(true)]);
    await this.#put(this.#seed, damage);
    await this.#try('image promote', `seed: ${damage.name}`, ['image', 'promote', 'victim']);
    await this.#home.ok(['image', 'delete', 'victim']);
  }

  /** Adds to the tally and fails with every complaint. */
  conclude(): void {
    for (const [command, tried] of Object.entries(this.tried)) {
      const lost = this.complaints.filter((text) => text.includes(command)).length;
      count({ command, torment: 'hostile inputs', tried, lost });
    }
    expect(this.complaints, `seed ${SEED}`).toEqual([]);
  }
}

async function makeGood(home: Home, name: string): Promise<string> {
  const path = join(home.directory, name);
  return makeRootfs(path, { sizeMiB: 16, files: { [SCATTERED.slice(1)]: scatteredContent() } });
}

test('a damaged filesystem is refused, or comes out sound', async ({ makeHome }) => {
  const { root, user } = inject('testRun');
  const home = await makeHome(root ?? user);
  const seeded = new Seeded(SEED);
  // Checksums find what is damaged; without them, it is believed.
  const plain = await makeGood(home, 'plain.ext4');
  await run('tune2fs', ['-O', '^metadata_csum', plain]);
  const summed = await makeGood(home, 'summed.ext4');
  const outcomes = new Set<number>();
  for (const [index, good] of [plain, summed].entries()) {
    const victims = await Victims.make(home, good);
    const damages = sample(await damagesOf(good, seeded, index === 0 ? 39 : 13), index === 0 ? 3 : 1);
    for (const [at, damage] of damages.entries()) {
      await victims.asRootfs(damage, WHOLE ? ['promote', 'build'] : [at % 2 === 0 ? 'promote' : 'build']);
      if (WHOLE || at % 3 === 0) await victims.asWorkSeed(damage);
    }
    victims.conclude();
    for (const status of victims.outcomes) outcomes.add(status);
  }
  // Were all refused, or none, the damages would be no good.
  expect([...outcomes]).toEqual(expect.arrayContaining([0, 11]));
});

test('a file that claims 16 TiB is taken for what it is, in bounded time and memory', async ({
  makeHome,
}) => {
  const { root, user } = inject('testRun');
  const home = await makeHome(root ?? user);
  const good = await makeGood(home, 'good.ext4');
  await run('tune2fs', ['-O', '^metadata_csum', good]);
  const victims = await Victims.make(home, good);
  const claims: Damage[] = [
    {
      name: 'a file of 16 TiB around a small filesystem',
      apply: async (path) => truncateSync(path, HUGE_BYTES),
    },
    {
      name: 'a superblock that claims it all',
      async apply(path) {
        truncateSync(path, HUGE_BYTES);
        // Every count that a mount compares fits.
        const { stdout } = await run('dumpe2fs', ['-h', path]);
        const field = (name: string): number =>
          Number(new RegExp(`^${name}:\\s+(\\d+)$`, 'mu').exec(stdout)?.[1]);
        const blocks = Math.floor(HUGE_BYTES / field('Block size'));
        const groups = Math.ceil((blocks - field('First block')) / field('Blocks per group'));
        for (const [name, value] of [
          ['blocks_count', Math.min(blocks, 2 ** 32 - 1)],
          ['inodes_count', Math.min(groups * field('Inodes per group'), 2 ** 32 - 1)],
        ] as const) {
          await run('debugfs', ['-w', ...['-R', `set_super_value ${name} ${value}`], path]);
        }
      },
    },
    {
      name: 'a sound filesystem of that size',
      async apply(path) {
        truncateSync(path, HUGE_BYTES);
        await run('mke2fs', ['-q', '-F', ...['-t', 'ext4'], ...['-T', 'largefile4'], path]);
      },
    },
  ];
  for (const claim of WHOLE ? claims : claims.slice(1, 2)) {
    await victims.asRootfs(claim, WHOLE ? ['promote', 'build'] : ['promote']);
    if (WHOLE) await victims.asWorkSeed(claim);
  }
  victims.conclude();
});
