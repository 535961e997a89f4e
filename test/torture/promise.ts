import { performance } from 'node:perf_hooks';
import { until } from '../support/builds.ts';
import type { CliResult } from '../support/cli.ts';
import { inspectRegistry } from '../support/verifier.ts';
import { inspectKernel } from '../support/verifier-kernel.ts';
import { inspectContent } from './content.ts';
import { type Deed, stateOf } from './deeds.ts';
import { filesOf, type Ground, type Listed, list, QUICKLY } from './ground.ts';

/** What comes after an interruption: a command on another name, or the same one again. */
export type Next = 'other' | 'again';

const OTHER = 'other';
/** How long the clean-up may take, beside the command's own work. */
const CLEAN_UP_MS = 2000;
/** How much more a machine may have had to do then than when the same command was timed unharmed. */
const BURDEN = 2;

function argumentsOf(ground: Ground, deed: Deed, next: Next): readonly string[] {
  return next === 'again' ? deed.args : ['image', 'register', OTHER, ...filesOf(ground.base)];
}

/** How long what comes next takes where nothing was interrupted, in milliseconds. */
async function timeUnharmed(ground: Ground, deed: Deed, next: Next): Promise<number> {
  await ground.reset();
  const startedAt = performance.now();
  await ground.home.ok(argumentsOf(ground, deed, next), QUICKLY);
  return performance.now() - startedAt;
}

/** Holds a state that a command was interrupted in to the promise; returns what does not keep it. */
export async function holdToPromise(ground: Ground, deed: Deed, next: Next): Promise<string[]> {
  const { home } = ground;
  const complaints: string[] = [];
  const found = await list(home);
  const before = stateOf(ground, deed, found);
  if (before === null) complaints.push(`neither done nor undone: ${show(found)}`);

  const startedAt = performance.now();
  const result = await home.run(argumentsOf(ground, deed, next), QUICKLY);
  const tookMs = performance.now() - startedAt;
  const expected = next === 'again' && before === 'after' ? deed.whenDone : 0;
  if (result.status !== expected) complaints.push(`${next}: ${tell(result)}, not ${expected}`);

  // Children of what was killed die on their own, a moment later.
  await until('nothing left', () => inspectKernel(home.stateDir).length === 0).catch(() => {});
  complaints.push(...(await ground.inspect()));
  const { images } = await inspectRegistry(home.stateDir);
  const now = images.map(({ id, name, managed }) => ({ id, name, managed: managed === 1 }));
  const after = stateOf(
    ground,
    deed,
    now.filter(({ name }) => name !== OTHER),
  );
  const made = images.find(({ name }) => name === deed.makes);
  if (after === 'after' && made) complaints.push(...(await inspectContent(ground, made)));
  if (after !== (next === 'again' ? 'after' : before)) complaints.push(`${next} left: ${show(now)}`);

  // The machine may have had much to do just then: the same command unharmed tells how much.
  if (complaints.length === 0 && tookMs > CLEAN_UP_MS) {
    const unharmedMs = Math.max(
      await timeUnharmed(ground, deed, next),
      await timeUnharmed(ground, deed, next),
    );
    if (tookMs > CLEAN_UP_MS + BURDEN * unharmedMs) {
      complaints.push(`${next} took ${Math.round(tookMs)} ms, unharmed ${Math.round(unharmedMs)} ms`);
    }
  }
  return complaints;
}

function show(images: readonly Listed[]): string {
  return images.map(({ name, managed }) => `${name}${managed ? ' (managed)' : ''}`).join(', ');
}

export function tell({ status, stdout, stderr }: CliResult): string {
  return `exit ${status}: ${(stdout + stderr).trim()}`;
}
