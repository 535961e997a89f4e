import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { readSuperblock } from '../../src/lib/system/superblock.ts';
import { makeBase } from '../support/builds.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { compareWithTold, type Told, type ToldImage } from './crowd-model.ts';
import { SEED, Seeded } from './seeded.ts';
import { count, WHOLE } from './tally.ts';

const PROCESSES = WHOLE ? 32 : 8;
const DURATION_MS = WHOLE ? 60_000 : 10_000;
const LEAST = 5;
/** More than enough on a machine that has other things to do. */
const TIMEOUT_MS = 300_000;
/** Few, so that everybody is in everybody's way. */
const NAMES = WHOLE ? ['ada', 'bob', 'cat', 'dan', 'eve', 'fay'] : ['ada', 'bob', 'cat'];
/** Done; no such image; the name is taken; in use or managed; not free in time. */
const ALLOWED = [0, 3, 4, 5, 7];
const WEIGHTS = { register: 22, rename: 16, build: 7, promote: 14, delete: 16, list: 15, show: 10 };
const MIB = 2 ** 20;

interface Listed extends ToldImage {
  artifact_dir: string | null;
  rootfs_path: string;
  kernel_path: string;
  modules_dir: string | null;
  work_seed_path: string | null;
  allocated_bytes?: number | null;
}

interface Sighting {
  image: Listed;
  /** When the reader began: what was deleted before that must not be seen. */
  began: number;
  /** What of it was not there, or not whole, right after. */
  partial: string[];
}

/** What is not whole of a managed image that a reader has just been shown. */
function partsMissing(image: Listed, kernel: Buffer): string[] {
  const wrong = (what: string, isWhole: () => boolean): string[] => {
    try {
      return isWhole() ? [] : [`${what} is not whole`];
    } catch (error) {
      return [`${what}: ${String(error)}`];
    }
  };
  const seed = image.work_seed_path;
  const modules = image.modules_dir;
  return [
    ...(image.allocated_bytes === null ? ['the list says that a file is missing'] : []),
    ...wrong(
      'rootfs',
      () => readSuperblock(image.rootfs_path).sizeBytes === statSync(image.rootfs_path).size,
    ),
    ...wrong('kernel', () => readFileSync(image.kernel_path).equals(kernel)),
    ...(modules === null ? [] : wrong('modules', () => statSync(join(modules, 'modules.dep')).size > 0)),
    ...(seed === null ? [] : wrong('work seed', () => readSuperblock(seed).sizeBytes === 512 * MIB)),
  ];
}

class Crowd {
  readonly told: Told[] = [];
  readonly sightings: Sighting[] = [];
  readonly failures: string[] = [];
  readonly #home: Home;
  readonly #kernel: Buffer;
  readonly #flags: readonly string[];

  constructor(home: Home, kernel: Buffer, flags: readonly string[]) {
    this.#home = home;
    this.#kernel = kernel;
    this.#flags = flags;
  }

  /** One after the other, until the time is up; on a slow machine, some at least. */
  async behave(seeded: Seeded, until: number): Promise<void> {
    for (let step = 0; step < LEAST || Date.now() < until; step += 1) await this.#step(seeded);
  }

  #command(verb: Told['verb'], name: string, newName: string): string[] {
    switch (verb) {
      case 'register':
        return ['image', verb, name, ...this.#flags];
      case 'rename':
        return ['image', verb, name, newName];
      case 'build':
        return ['image', verb, name, ...['--from-image', 'base'], ...['--run', 'echo made >/made']];
      case 'list':
        return ['image', verb];
      default:
        return ['image', verb, name];
    }
  }

  async #step(seeded: Seeded): Promise<void> {
    const verb = seeded.weighted(WEIGHTS);
    const [name, newName] = [seeded.pick(NAMES), seeded.pick(NAMES)];
    const args = [...this.#command(verb, name, newName), '--json'];
    const began = Date.now();
    const { status, stdout, stderr } = await this.#home.run(args, { timeoutMs: TIMEOUT_MS });
    const told: Told = { verb, name, newName, status, began, ended: Date.now() };
    this.told.push(told);
    const document = this.#documentOf(args, { status, stdout, stderr });
    if (document === undefined || status !== 0) return;
    if (verb === 'list' || verb === 'show') {
      await this.#see((verb === 'list' ? document : [document]) as Listed[], began);
      return;
    }
    told.image = (verb === 'delete' ? (document as ToldImage[])[0] : document) as ToldImage;
    if (verb === 'register') told.outcome = (document as { outcome: string }).outcome;
  }

  #documentOf(args: readonly string[], result: { status: number; stdout: string; stderr: string }): unknown {
    const said = `${args.join(' ')}: exit ${result.status}\n${result.stdout}\n${result.stderr}`;
    if (!ALLOWED.includes(result.status) || /^\s+at .*:\d+:\d+/mu.test(said)) this.failures.push(said);
    try {
      return JSON.parse(result.stdout);
    } catch {
      this.failures.push(`no JSON document: ${said}`);
      return undefined;
    }
  }

  async #see(images: readonly Listed[], began: number): Promise<void> {
    const names = images.map(({ name }) => name);
    if (new Set(names).size !== names.length) this.failures.push(`seen twice: ${names.join(', ')}`);
    for (const image of images) {
      if (!image.managed) continue;
      const partial = partsMissing(image, this.#kernel);
      this.sightings.push({ image, began, partial });
      if (partial.length === 0) continue;
      // Its row goes before its files do: whoever finds a file missing finds no row any more.
      const { document } = await this.#home.json<Listed[]>(['image', 'list'], { timeoutMs: TIMEOUT_MS });
      if (document.some(({ id }) => id === image.id))
        this.failures.push(`${image.name} (${image.id}) is listed, and not whole: ${partial.join('; ')}`);
    }
  }

  /** A reader may come too late for an image's files, but only when somebody was deleting it then. */
  partialSightings(): string[] {
    const deletions = this.told.filter(({ verb, status }) => verb === 'delete' && status === 0);
    return this.sightings
      .filter(({ image, began, partial }) => {
        const deletion = deletions.find((one) => one.image?.id === image.id);
        return partial.length > 0 && (deletion === undefined || deletion.ended < began);
      })
      .map(({ image, partial }) => `${image.name} (${image.id}): ${partial.join('; ')}`);
  }
}

test('a crowd on few names: each is told the truth, and nobody sees half of an image', async ({
  makeHome,
}) => {
  const { root, user } = inject('testRun');
  const home = await makeHome(root ?? user);
  const { rootfs, kernel, modules } = await makeBase(home);
  const flags = ['--rootfs', rootfs, '--kernel', kernel, '--modules', modules];
  const crowd = new Crowd(home, readFileSync(kernel), flags);
  const until = Date.now() + DURATION_MS;
  await Promise.all(
    Array.from({ length: PROCESSES }, (_, index) => crowd.behave(new Seeded(SEED * 1000 + index), until)),
  );
  const { document } = await home.json<ToldImage[]>(['image', 'list']);
  const registry = document.filter(({ name }) => name !== 'base');
  const lies = compareWithTold(crowd.told, registry);
  const partial = crowd.partialSightings();
  for (const verb of Object.keys(WEIGHTS)) {
    const tried = crowd.told.filter((one) => one.verb === verb).length;
    const lost = verb === 'list' ? lies.length + partial.length : 0;
    count({ command: `image ${verb}`, torment: 'crowd', tried, lost });
  }
  expect({ failures: crowd.failures, lies, partial }, `seed ${SEED}`).toEqual({
    failures: [],
    lies: [],
    partial: [],
  });
  // A crowd in which hardly anything came about would have shown nothing.
  const done = (verb: Told['verb']): number =>
    crowd.told.filter((one) => one.verb === verb && one.status === 0).length;
  if (WHOLE) {
    for (const verb of Object.keys(WEIGHTS) as Told['verb'][]) expect(done(verb), verb).toBeGreaterThan(0);
  }
  expect(done('register')).toBeGreaterThan(0);
  await home.verify();
});
