import { describe, expect, inject, test } from 'vitest';
import { Ballast } from '../support/ballast.ts';
import { makeDisk } from '../support/boot-files.ts';
import { buildArguments, makeBase } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { onDisk } from '../support/disk-home.ts';
import type { MountedFilesystem } from '../support/loop-mount.ts';
import type { Account } from '../support/test-user.ts';
import { mountExt4, mountXfs } from '../support/xfs.ts';
import { count, WHOLE } from './tally.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

type Kind = 'build' | 'promote';

interface Disk {
  mount(owner: Account): Promise<MountedFilesystem>;
  /** What is short of, and in which steps. */
  of: 'bytes' | 'inodes';
  step: number;
  /** So much is enough for anything. */
  enough: number;
  /** What is run there (default: both). */
  kinds?: readonly Kind[];
}

const DISKS: Readonly<Record<string, Disk>> = {
  'ext4 with blocks of 4 KiB': {
    mount: (owner) => mountExt4(320, owner, ['-b', '4096']),
    of: 'bytes',
    step: 16 * KIB,
    enough: 64 * MIB,
  },
  'ext4 with blocks of 1 KiB': {
    mount: (owner) => mountExt4(320, owner, ['-b', '1024']),
    of: 'bytes',
    step: 16 * KIB,
    enough: 64 * MIB,
  },
  // A promote shares all that it copies, which takes no space.
  XFS: {
    mount: (owner) => mountXfs(400, owner),
    of: 'bytes',
    step: 16 * KIB,
    enough: 64 * MIB,
    kinds: ['build'],
  },
  'XFS that cannot share': {
    mount: (owner) => mountXfs(400, owner, { reflink: false }),
    of: 'bytes',
    step: 16 * KIB,
    enough: 64 * MIB,
    kinds: ['promote'],
  },
  'ext4 with few inodes': {
    mount: (owner) => mountExt4(320, owner, ['-b', '4096', '-N', '160']),
    of: 'inodes',
    step: 1,
    enough: 64,
  },
};

/** How many sizes are tried of each disk, for each command and account. */
const TRIES: Readonly<Record<Kind, number>> = WHOLE ? { build: 14, promote: 14 } : { build: 2, promote: 1 };

/** A command on a disk of which so much is left, and what became of it. */
class FullDisk {
  readonly #home: Home;
  readonly #disk: MountedFilesystem;
  readonly #ballast: Ballast;
  readonly #of: Disk['of'];
  readonly #flags: readonly string[];
  readonly #kind: Kind;

  constructor(home: Home, disk: MountedFilesystem, of: Disk['of'], flags: readonly string[], kind: Kind) {
    this.#home = home;
    this.#disk = disk;
    this.#ballast = new Ballast(disk, home.account);
    this.#of = of;
    this.#flags = flags;
    this.#kind = kind;
  }

  #leave(amount: number): Promise<void> {
    return this.#of === 'bytes' ? this.#ballast.leaveBytes(amount) : this.#ballast.leaveInodes(amount);
  }

  /** Returns the stage that failed, or `done`; throws what is not as it must be. */
  async try(left: number): Promise<string> {
    const home = this.#home;
    const args =
      this.#kind === 'build'
        ? buildArguments('target', '--run', 'busybox head -c 3000000 /dev/urandom >/data')
        : ['image', 'promote', 'target'];
    for (const name of this.#kind === 'build' ? ['spare'] : ['spare', 'target']) {
      await home.ok(['image', 'register', name, ...this.#flags]);
    }
    await this.#leave(left);
    const { status, stdout, stderr } = await home.run(args);
    const stages = [...stderr.matchAll(/^(\w+) \.\.\.$/gmu)].map(([, stage]) => stage ?? '');
    expect([0, 6, 9], `${stdout}\n${stderr}`).toContain(status);
    if (status !== 0) {
      expect(stderr).toMatch(new RegExp(`^error: [^→]*the filesystem at ${this.#disk.directory} \\(`, 'mu'));
      expect(stderr).not.toMatch(/^ {4}at .*:\d+:\d+\)?$/mu);
    }
    await this.#leave(left);
    expect(await home.ok(['image', 'list', '-q'])).toContain('base\n');
    await this.#leave(left);
    expect(await home.ok(['image', 'show', 'spare'])).toContain('spare');
    await this.#leave(left);
    await home.ok(['image', 'delete', 'spare']);
    await this.#ballast.remove();
    await home.verify();
    if (status !== 0) await home.ok(args);
    await home.verify();
    await home.ok(['image', 'delete', 'target']);
    return status === 0 ? 'done' : (stages.at(-1) ?? 'before any stage');
  }
}

interface Tried {
  left: number;
  outcome: string;
}

/**
 * Tries amounts on both sides of each boundary between outcomes: always in the middle of the widest gap, of those whose
 * ends differ, until as many have been tried as may be or no gap is left.
 */
async function bisect(
  { step, enough }: Disk,
  tries: number,
  attempt: (left: number) => Promise<string>,
): Promise<Tried[]> {
  // That enough is enough needs no trial.
  const tried: Tried[] = [{ left: enough, outcome: 'done' }];
  let next: number | undefined = 0;
  while (next !== undefined && tried.length <= tries) {
    tried.push({ left: next, outcome: await attempt(next) });
    tried.sort((one, other) => one.left - other.left);
    next = tried
      .slice(1)
      .map((above, index) => ({ below: tried[index] ?? above, above }))
      .filter(({ below, above }) => below.outcome !== above.outcome && above.left - below.left > step)
      // By proportion: small amounts make more of a difference.
      .toSorted((one, other) => ratio(other) - ratio(one))
      .map(({ below, above }) => Math.round((below.left + above.left) / 2 / step) * step)
      .at(0);
  }
  return tried;
}

function ratio({ below, above }: { below: Tried; above: Tried }): number {
  return (above.left - below.left) / above.left;
}

// In a sample one account and one command for each disk.
const accounts = (index: number): Account[] =>
  testAccounts().filter((_, which) => WHOLE || which === SAMPLED[index]?.[0]);
const kindsOn = ({ kinds = ['build', 'promote'] }: Disk, index: number): readonly Kind[] =>
  kinds.filter((kind) => WHOLE || kind === SAMPLED[index]?.[1]);
/** By disk: which account, and which command. */
const SAMPLED: readonly (readonly [number, Kind])[] = [
  [1, 'build'],
  [0, 'promote'],
  [0, 'build'],
  [1, 'promote'],
  [1, 'promote'],
];

describe.runIf(inject('testRun').root)('an operation on a disk that is almost full', () => {
  for (const [index, [name, disk]] of Object.entries(DISKS).entries()) {
    for (const account of accounts(index)) {
      for (const kind of kindsOn(disk, index)) {
        test(`${kind} on ${name}, as ${account.label}`, async () => {
          const mounted = await disk.mount(account);
          await onDisk(mounted, account, async (home) => {
            const { rootfs, kernel, modules } = await makeBase(home);
            const workSeed = await makeDisk(home, 'base/work-seed');
            const flags = [
              '--rootfs',
              rootfs,
              '--kernel',
              kernel,
              '--modules',
              modules,
              '--work-seed',
              workSeed,
            ];
            const full = new FullDisk(home, mounted, disk.of, flags, kind);
            const told = { command: `image ${kind}`, torment: 'full disks', tried: 1 } as const;
            const tried = await bisect(disk, TRIES[kind], async (left) => {
              try {
                const outcome = await full.try(left);
                count({ ...told, lost: 0 });
                return outcome;
              } catch (cause) {
                count({ ...told, lost: 1 });
                throw new Error(`${left} ${disk.of} were left`, { cause });
              }
            });
            expect(tried.some(({ outcome }) => outcome !== 'done')).toBe(true);
          });
        });
      }
    }
  }
});
