import { join } from 'node:path';
import { test as base } from 'vitest';
import { makeExt4 } from '../../src/lib/system/ext4.ts';
import { run } from '../../src/lib/system/process.ts';
import { type Base, type BuiltImage, makeBase } from '../support/builds.ts';
import { Home } from '../support/cli.ts';
import type { Account } from '../support/test-user.ts';
import { findFilesystems, identityOf, inspectState } from '../support/verifier.ts';

/** What `list` says of an image, as far as a name can change hands. */
export type Listed = Pick<BuiltImage, 'name' | 'managed'> & { id: string };

/** A state of the disk that every attempt begins with: the same one at the same place, so that its calls are the same. */
export class Ground {
  readonly home: Home;
  readonly #template: string;
  /** What all its images are made of. */
  readonly base: Base;
  /** What is listed before each attempt. */
  readonly images: readonly Listed[];
  #sound: ReadonlySet<string> = new Set();

  /** Images: `base`, `candidate` (to be promoted, with a work seed) and `kept` (managed). */
  static async make(home: Home): Promise<Ground> {
    // As the program makes them; with smaller ones, e2fsck does the same with many times as many calls.
    const base = await makeBase(home, { blockSize: 4096 });
    const files = filesOf(base);
    const workSeed = join(home.directory, 'base/seed.ext4');
    await makeExt4(workSeed, { sizeBytes: 16 * 2 ** 20 });
    await run('chown', [`${home.account.uid}:${home.account.gid}`, workSeed]);
    const candidate = [...files, ...['--modules', base.modules], ...['--work-seed', workSeed]];
    await home.ok(['image', 'register', 'candidate', ...candidate]);
    await home.ok(['image', 'register', 'kept', ...files]);
    await home.ok(['image', 'promote', 'kept']);
    // Makes the key pair.
    await home.ok(['image', 'register', 'passing', ...candidate]);
    await home.ok(['image', 'promote', 'passing']);
    await home.ok(['image', 'delete', 'passing', '--yes']);
    const template = join(home.directory, 'template');
    await run('cp', ['-a', '--sparse=always', home.stateDir, template]);
    return new Ground(home, template, base, await list(home));
  }

  private constructor(home: Home, template: string, base: Base, images: readonly Listed[]) {
    this.home = home;
    this.#template = template;
    this.base = base;
    this.images = images;
  }

  async reset(): Promise<void> {
    await replaceTree(this.home.stateDir, this.#template);
    const filesystems = await findFilesystems(join(this.home.stateDir, 'images'));
    this.#sound = new Set(filesystems.map(identityOf));
  }

  /** Keeps the state as it is now; returns what brings it back. */
  async save(): Promise<() => Promise<void>> {
    const saved = join(this.home.directory, 'saved');
    await replaceTree(saved, this.home.stateDir);
    return async () => {
      this.#sound = new Set();
      await replaceTree(this.home.stateDir, saved);
    };
  }

  /** Every complaint about the state; a filesystem that nobody touched since the beginning is what it was. */
  inspect(): Promise<string[]> {
    return inspectState(this.home.stateDir, { uid: this.home.account.uid }, this.#sound);
  }
}

async function replaceTree(target: string, source: string): Promise<void> {
  const script = 'rm -rf --one-file-system "$1" && cp -a --sparse=always "$2" "$1"';
  await run('sh', ['-c', script, 'sh', target, source]);
}

/** What comes after is done by the form of the program that starts sooner: there is much of it. */
export const QUICKLY = { form: 'executable' } as const;

/** Flags that register a base's files under another name. */
export function filesOf({ rootfs, kernel }: Base): string[] {
  return [...['--rootfs', rootfs], ...['--kernel', kernel]];
}

export async function list(home: Home): Promise<Listed[]> {
  const { document } = await home.json<BuiltImage[]>(['image', 'list'], QUICKLY);
  return document.map(({ id, name, managed }) => ({ id, name, managed }));
}

/** The grounds of an account, as many as are worked on side by side; the same ones for every test of a file. */
export type GroundOf = (account: Account, lane?: number) => Promise<Ground>;

interface GroundFixtures {
  groundOf: GroundOf;
}

export const test = base.extend<GroundFixtures>({
  groundOf: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures this one wants
    async ({}, use) => {
      const grounds = new Map<string, Ground>();
      const homes: Home[] = [];
      try {
        await use(async (account, lane = 0) => {
          const key = `${account.name} ${lane}`;
          const made = grounds.get(key);
          if (made) return made;
          const home = await Home.make(account);
          homes.push(home);
          const ground = await Ground.make(home);
          grounds.set(key, ground);
          return ground;
        });
      } finally {
        for (const home of homes) await home.remove();
      }
    },
    { scope: 'file' },
  ],
});
