import { setTimeout as sleep } from 'node:timers/promises';
import type { CliResult } from '../support/cli.ts';
import { descendantsOf } from '../support/processes.ts';
import type { Ground } from './ground.ts';
import { runWithThreads, THREADS, type Thread, type TracedRun } from './held.ts';
import { runWithTools, type Tool } from './tools.ts';
import { type Call, matters, parseTrace } from './trace.ts';

/** A call of a thread of the program, or of a tool that it starts: to be struck at. */
export interface Point {
  place: Thread | Tool;
  call: Call;
  /** All that was done in its place when it was recorded. */
  among: readonly Call[];
}

export function describePoint({ place, call }: Point): string {
  return `${nameOf(place)} ${call.name} ${call.ordinal} (${call.target} ${call.occurrence})`;
}

function nameOf(place: Point['place']): string {
  return typeof place === 'string' ? place : `${place.name} ${place.turn}`;
}

/**
 * What happens at a call. `kill alone`: the program dies; at a call of its own before that is made, at a tool's after
 * it. `kill group`: it dies after the call, with its group and all that it started, as a container ends.
 */
export type Blow = 'kill alone' | 'kill group' | `error=${'EIO' | 'ENOSPC' | 'EDQUOT'}`;

const TRIES = 16;
const LOOK_AGAIN_MS = 5;
/** Nothing on the ground takes as long. */
const HUNG_MS = 45_000;

/**
 * The calls of the program's own that matter, thread by thread in their order. Those alone that come again in a second
 * run: what a timer makes comes sooner or later, or not at all.
 */
export async function recordThreads(ground: Ground, args: readonly string[]): Promise<Point[]> {
  const record = async (): Promise<Point[]> => {
    await ground.reset();
    const run = await runWithThreads(ground.home, args, THREADS, ['-e', 'trace=%file,%desc']);
    await succeed(run, args);
    return THREADS.flatMap((thread) => pointsIn(thread, run.traceOf(thread), ground));
  };
  const points = inBoth(await record(), await record());
  return points.filter(({ call }) => matters(call, ground.home.stateDir));
}

/** The calls of the tools that a command starts, all of them once they have been executed. */
export async function recordTools(ground: Ground, args: readonly string[]): Promise<Point[]> {
  const record = async (): Promise<Point[]> => {
    await ground.reset();
    const run = await runWithTools(ground.home, args, 'all', []);
    await succeed(run, args);
    return run.tools().flatMap((tool) => pointsIn(tool, run.traceOf(tool), ground));
  };
  const points = inBoth(await record(), await record());
  return points.filter(({ call }) => call.name !== 'execve');
}

async function succeed({ result, traced }: TracedRun, args: readonly string[]): Promise<void> {
  const { status, stderr } = await result;
  if (status !== 0) throw new Error(`banger ${args.join(' ')}: exit ${status}\n${stderr}`);
  await traced;
}

function pointsIn(place: Point['place'], trace: string, { home }: Ground): Point[] {
  const among = parseTrace(trace, home.directory);
  return among.map((call) => ({ place, call, among }));
}

function inBoth(first: readonly Point[], second: readonly Point[]): Point[] {
  const again = new Set(second.map(identityOf));
  return first.filter((point) => again.has(identityOf(point)));
}

/**
 * Runs a command and strikes at a call of it, from the ground's own state. Threads may come to their calls in another
 * order than when they were recorded: a strike that fell elsewhere is tried again.
 * @param thenKillAt another call, at which the program dies if it comes so far
 * @returns null when the call was never met
 */
export async function strike(
  ground: Ground,
  args: readonly string[],
  { place, call, among }: Point,
  blow: Blow,
  thenKillAt?: Pick<Call, 'name' | 'ordinal'>,
): Promise<CliResult | null> {
  const wanted = callIdentity(call);
  const path = thenKillAt ? undefined : pathToCountBy(place, call);
  const counted = path === undefined ? among : among.filter((other) => isOn(other, path));
  let when = ordinalIn(counted, call);
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { result, met } = await strikeOnce(ground, args, place, call.name, {
      blow,
      when,
      thenKillAt,
      path: path && inHome(path, ground),
    });
    const struck = met[when - 1];
    if (struck && callIdentity(struck) === wanted) return result;
    // Once where it was recorded, once as far from there as the call is that was struck instead: the C library looks
    // at the processors when it likes to.
    const recorded = struck && counted.find((other) => callIdentity(other) === callIdentity(struck));
    if (tries % 2 === 1) when = ordinalIn(counted, call);
    else if (struck && recorded)
      when = ordinalIn(counted, call) + struck.ordinal - ordinalIn(counted, recorded);
    else when = met.find((other) => callIdentity(other) === wanted)?.ordinal ?? when + 1;
  }
  return null;
}

/** Which of its name a call is among others, from 1: what strace counts. */
function ordinalIn(calls: readonly Call[], call: Call): number {
  return calls.filter(({ name }) => name === call.name).indexOf(call) + 1;
}

/**
 * A file of the home that is named the same in every run: of the program's calls only those on it are counted then, for
 * how many others come before depends on the engine's memory.
 */
function pathToCountBy(place: Point['place'], { target }: Call): string | undefined {
  const path = target.split(' ').at(-1);
  return typeof place === 'string' && path?.startsWith('~/') && !/\b(?:ID|N)\b/u.test(path)
    ? path
    : undefined;
}

function isOn({ target }: Call, path: string): boolean {
  return target.split(' ').includes(path);
}

function inHome(path: string, { home }: Ground): string {
  return path.replace(/^~/u, home.directory);
}

interface Injection {
  blow: Blow;
  when: number;
  /** The calls on this file alone are counted. */
  path: string | undefined;
  thenKillAt: Pick<Call, 'name' | 'ordinal'> | undefined;
}

async function strikeOnce(
  ground: Ground,
  args: readonly string[],
  place: Point['place'],
  name: string,
  { blow, when, thenKillAt, path }: Injection,
): Promise<{ result: CliResult; met: Call[] }> {
  await ground.reset();
  const ofTool = typeof place !== 'string';
  const injection = injectionOf(blow, ofTool);
  const names = thenKillAt ? `${name},${thenKillAt.name}` : name;
  const killing = thenKillAt ? [`inject=${thenKillAt.name}:signal=KILL:when=${thenKillAt.ordinal}`] : [];
  const expressions = [`trace=${names}`, `inject=${name}:${injection}:when=${when}`, ...killing];
  const strace = [
    ...(path === undefined ? [] : ['-P', path]),
    ...expressions.flatMap((expression) => ['-e', expression]),
  ];
  const { home } = ground;
  let run: TracedRun;
  let trace: () => string;
  if (ofTool) {
    const started = await runWithTools(home, args, place, strace);
    [run, trace] = [started, () => started.traceOf(place)];
  } else {
    const started = await runWithThreads(home, args, [place], strace);
    [run, trace] = [started, () => started.traceOf(place)];
  }
  if (injection === 'signal=STOP' && (await stopped(run, trace))) kill(run.pid, blow);
  const result = await endOf(run);
  await run.traced;
  return { result, met: parseTrace(trace(), home.directory).filter((call) => call.name === name) };
}

function injectionOf(blow: Blow, ofTool: boolean): string {
  if (blow === 'kill alone') return ofTool ? 'signal=STOP' : 'signal=KILL';
  return blow === 'kill group' ? 'signal=STOP' : blow;
}

function callIdentity({ name, target, occurrence }: Call): string {
  return `${name} ${target} ${occurrence}`;
}

/** Tells a point from the others, and is the same for the same one of another run. */
export function identityOf({ place, call }: Point): string {
  return `${nameOf(place)} ${callIdentity(call)}`;
}

/** Waits for the SIGSTOP that was injected; false when the program has ended without it. */
async function stopped({ result }: TracedRun, trace: () => string): Promise<boolean> {
  let over = false;
  const ended = (): void => {
    over = true;
  };
  result.then(ended, ended);
  // What strace writes of the SIGSTOP that it was attached under has no braces.
  while (!trace().includes('--- SIGSTOP {')) {
    if (over) return false;
    await sleep(LOOK_AGAIN_MS);
  }
  return true;
}

/** How it ends. A step of a build may take for ever, and so may a tool: it is cancelled then, as a user would. */
async function endOf({ pid, result }: TracedRun): Promise<CliResult> {
  const timer = setTimeout(() => {
    // One that waits for nobody will be killed in the end, and the test fails.
    if (descendantsOf(pid).length > 0) process.kill(pid, 'SIGTERM');
  }, HUNG_MS);
  return result.finally(() => clearTimeout(timer));
}

function kill(pid: number, blow: Blow): void {
  if (blow === 'kill alone') {
    process.kill(pid, 'SIGKILL');
    return;
  }
  const started = descendantsOf(pid);
  process.kill(-pid, 'SIGKILL');
  for (const child of started) {
    try {
      process.kill(child.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}
