import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject, test } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { makeDisk } from '../support/boot-files.ts';
import { type Base, type BuiltImage, buildArguments, makeBase, until } from '../support/builds.ts';
import type { CliResult, Home, RunningCli } from '../support/cli.ts';
import { onDisk } from '../support/disk-home.ts';
import type { MountedFilesystem } from '../support/loop-mount.ts';
import { inspectKernel } from '../support/verifier-kernel.ts';
import { mountExt4, mountXfs } from '../support/xfs.ts';
import { SEED, Seeded } from './seeded.ts';
import { count, sample } from './tally.ts';

// A filesystem that is shut down drops everything that was not synced, as a loss of power does. It does not reorder
// writes: what a disk's own cache may do to those that were sent, but not flushed, is not tried here.

const KINDS = ['register', 'build', 'promote', 'rename', 'delete'] as const;
type Kind = (typeof KINDS)[number];

/** When the power goes: once a stage has been told done, or after a part of the time that the command takes. */
type Moment = { kind: Kind; stage: string } | { kind: Kind; part: number };

const STAGES = {
  build: [
    'resolve_image',
    'launch_builder',
    'prepare_work_seed',
    'seed_ssh',
    'write_metadata',
    'activate_artifacts',
    'persisted',
  ],
  promote: [
    'copy_rootfs',
    'copy_work_seed',
    'seed_ssh',
    'copy_boot_artifacts',
    'activate_artifacts',
    'persisted',
  ],
} as const;
const AT_RANDOM: Readonly<Record<Kind, number>> = {
  build: 28,
  promote: 22,
  register: 12,
  rename: 14,
  delete: 16,
};
const CUTS_SAMPLED = 4;

function allMoments(chance: Seeded): Moment[] {
  const afterStages = (['build', 'promote'] as const).flatMap((kind) =>
    STAGES[kind].map((stage): Moment => ({ kind, stage })),
  );
  const inBetween = KINDS.flatMap((kind) =>
    // Some after the end: what was told must stay.
    Array.from({ length: AT_RANDOM[kind] }, (): Moment => ({ kind, part: chance.next() * 1.1 })),
  );
  return [...afterStages, ...inBetween];
}

function describeMoment(moment: Moment): string {
  return 'stage' in moment
    ? `${moment.kind} after ${moment.stage}`
    : `${moment.kind} after ${moment.part.toFixed(3)} of its time`;
}

/** What `list` shows of an image, as far as it must not change by itself. */
type Shown = Record<string, { id: string; managed: boolean }>;

/** Roughly, in milliseconds; corrected by what is seen. */
const DURATIONS: Record<Kind, number> = {
  register: 500,
  build: 3000,
  promote: 1200,
  rename: 500,
  delete: 500,
};
const STAGE_WAIT_MS = 60_000;
/** Not 11: that the disk is gone is no damage to what is on it. */
const DOCUMENTED = [0, 3, 4, 5, 6, 7, 8, 9];
/** What becomes of a process that looks into SQLite's -shm when its filesystem is gone: SIGBUS kills it. */
const KILLED = 128 + 7;

class PowerCuts {
  readonly #home: Home;
  readonly #disk: MountedFilesystem;
  readonly #base: Base;
  readonly #flags: readonly string[];
  #number = 0;

  constructor(home: Home, disk: MountedFilesystem, base: Base, workSeed: string) {
    this.#home = home;
    this.#disk = disk;
    this.#base = base;
    const { rootfs, kernel } = base;
    this.#flags = [...['--rootfs', rootfs], ...['--kernel', kernel], ...['--work-seed', workSeed]];
  }

  /** Cuts the power once; throws what was lost. */
  async try(moment: Moment): Promise<void> {
    this.#number += 1;
    const target = `image-of-${this.#number}`;
    const args = await this.#prepare(moment.kind, target);
    const before = await this.#shown();
    // Files of a user's are a user's to make durable.
    await run('sync', ['-f', this.#disk.directory]);
    const startedAt = performance.now();
    const running = this.#home.start(args);
    const ended = running.result.then(() => true);
    await this.#reach(moment, running, ended);
    if ((await Promise.race([ended, sleep(0)])) === true) {
      DURATIONS[moment.kind] = performance.now() - startedAt;
    }
    await run('xfs_io', ['-x', ...['-c', 'shutdown'], this.#disk.directory]);
    const result = await running.result;
    await until('the sandbox to end', () => inspectKernel(this.#home.stateDir).length === 0);
    await this.#disk.remount();

    expect([...DOCUMENTED, KILLED], result.stderr).toContain(result.status);
    expect(result.stderr).not.toMatch(/^ {4}at .*:\d+:\d+\)?$/mu);
    await this.#home.ok(['image', 'rename', `spare-${this.#number - 1}`, `spare-${this.#number}`]);
    await this.#home.verify();
    const after = this.#expected(moment.kind, target, before);
    await this.#compare({ kind: moment.kind, target, result, before, after });
  }

  async #prepare(kind: Kind, target: string): Promise<string[]> {
    if (kind === 'register') return ['image', 'register', target, ...this.#flags];
    if (kind === 'build') return buildArguments(target, '--run', `echo ${target} >/stamp`);
    await this.#home.ok(['image', 'register', target, ...this.#flags]);
    if (kind === 'delete') await this.#home.ok(['image', 'promote', target]);
    return ['image', kind, target, ...(kind === 'rename' ? [`${target}-renamed`] : [])];
  }

  async #reach(moment: Moment, running: RunningCli, ended: Promise<boolean>): Promise<void> {
    if ('part' in moment) {
      await Promise.race([ended, sleep(DURATIONS[moment.kind] * moment.part)]);
      return;
    }
    const deadline = performance.now() + STAGE_WAIT_MS;
    while (!running.said().includes(`${moment.stage} done in `)) {
      if ((await Promise.race([ended, sleep(1)])) === true || performance.now() > deadline) break;
    }
    expect(running.said()).toContain(`${moment.stage} done in `);
  }

  async #shown(): Promise<Shown> {
    const images = JSON.parse(await this.#home.ok(['image', 'list', '--json'])) as BuiltImage[];
    return Object.fromEntries(
      images
        .filter(({ name }) => !name.startsWith('spare-'))
        .map(({ name, id, managed }) => [name, { id, managed }]),
    );
  }

  /** What the command makes of it: the id of a new image is not known before. */
  #expected(kind: Kind, target: string, before: Shown): Shown {
    const { [target]: old, ...others } = before;
    const image = old ?? { id: expect.any(String) as string, managed: kind === 'build' };
    if (kind === 'delete') return others;
    if (kind === 'rename') return { ...others, [`${target}-renamed`]: image };
    return { ...others, [target]: kind === 'promote' ? { ...image, managed: true } : image };
  }

  async #compare(cut: {
    kind: Kind;
    target: string;
    result: CliResult;
    before: Shown;
    after: Shown;
  }): Promise<void> {
    const { kind, target, result, before, after } = cut;
    const found = await this.#shown();
    // Told is told, and a name is the old image or the new one.
    if (result.status === 0) expect(found, result.stderr).toEqual(after);
    else expect([before, after], result.stderr).toContainEqual(found);
    const name = [target, `${target}-renamed`].find((one) => one in found);
    if (name === undefined) return;
    await this.#assertWhole(kind, name);
    await this.#home.ok(['image', 'delete', name]);
  }

  /** Beyond what the verifier sees: that data are there, not only the files they belong in. */
  async #assertWhole(kind: Kind, name: string): Promise<void> {
    const image = JSON.parse(await this.#home.ok(['image', 'show', name, '--json'])) as BuiltImage;
    expect(await readFile(image.kernel_path)).toEqual(await readFile(this.#base.kernel));
    if (kind !== 'build') return;
    const { stdout } = await run('debugfs', [...['-R', 'cat /stamp'], image.rootfs_path]);
    expect(stdout).toBe(`${name}\n`);
  }
}

const FILESYSTEMS = {
  ext4: (): Promise<MountedFilesystem> => mountExt4(400),
  XFS: (): Promise<MountedFilesystem> => mountXfs(400),
};

const { root } = inject('testRun');

describe.runIf(root !== null)(`cutting the power, seed ${SEED}`, () => {
  test.for(Object.entries(FILESYSTEMS))('of %s loses nothing that was told', async ([, mount]) => {
    if (root === null) return;
    const disk = await mount();
    await onDisk(disk, root, async (home) => {
      const base = await makeBase(home);
      const workSeed = await makeDisk(home, 'base/work-seed');
      const cuts = new PowerCuts(home, disk, base, workSeed);
      const spare = ['--rootfs', base.rootfs, '--kernel', base.kernel];
      await home.ok(['image', 'register', 'spare-0', ...spare]);
      for (const moment of sample(allMoments(new Seeded(SEED)), CUTS_SAMPLED)) {
        const told = { command: `image ${moment.kind}`, torment: 'power cuts', tried: 1 } as const;
        try {
          await cuts.try(moment);
        } catch (cause) {
          count({ ...told, lost: 1 });
          throw new Error(`the power was cut of ${describeMoment(moment)}`, { cause });
        }
        count({ ...told, lost: 0 });
      }
    });
  });
});
