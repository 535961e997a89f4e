import { expect } from 'vitest';
import type { CliResult } from '../support/cli.ts';
import type { Account } from '../support/test-user.ts';
import { COMMANDS, type Command, type Deed, deedOn, stateOf } from './deeds.ts';
import { type Ground, type GroundOf, list, test } from './ground.ts';
import { casesOf, pointsOf } from './points.ts';
import { holdToPromise, tell } from './promise.ts';
import { type Blow, describePoint, type Point, strike } from './strike.ts';
import { sample, WHOLE } from './tally.ts';
import { matters } from './trace.ts';
import { type Trial, tryAll } from './trials.ts';

type Errno = Extract<Blow, `error=${string}`>;
const ERRNOS: readonly Errno[] = ['error=EIO', 'error=ENOSPC', 'error=EDQUOT'];
/** All but a bug of ours (1), and what a user did not do (2, 10). 143: a tool that hung was cancelled. */
const DOCUMENTED = [0, 3, 4, 5, 6, 7, 8, 9, 11, 143];
const STACK_TRACE = /^\s+at .+:\d+:\d+\)?$/mu;

/** Of each command where not all are tried: of its own calls, and of its tools'. */
const OWN = 3;
const TOOLS = 1;
/** How often what comes after is the same command again; a register of another name takes a tenth of the time. */
const AGAIN = WHOLE ? 4 : 1;

interface Attempt {
  point: Point;
  errno: Errno;
}

/** All errors at each call on the state; one at a lock, which has no room to run out of, and at a tool's other calls. */
async function attemptsOn(groundOf: GroundOf, account: Account, command: Command): Promise<Attempt[]> {
  const { own, tools } = await pointsOf(groundOf, account, command);
  const { stateDir } = (await groundOf(account)).home;
  return [...sample(own, OWN), ...sample(tools, TOOLS)].flatMap((point, index) => {
    const isFull = WHOLE && point.call.name !== 'fcntl' && matters(point.call, stateDir);
    return ERRNOS.filter((_, which) => isFull || which === index % ERRNOS.length).map((errno) => ({
      point,
      errno,
    }));
  });
}

/** What a command said of a call that failed, and whether a success is one. */
async function judge(ground: Ground, deed: Deed, result: CliResult): Promise<string[]> {
  const complaints = DOCUMENTED.includes(result.status) ? [] : [tell(result)];
  if (STACK_TRACE.test(result.stderr)) complaints.push(`a stack trace: ${tell(result)}`);
  if (result.status === 0 && stateOf(ground, deed, await list(ground.home)) !== 'after') {
    complaints.push(`success, but nothing was done: ${tell(result)}`);
  }
  return complaints;
}

async function trialsOf(groundOf: GroundOf, account: Account, command: Command): Promise<Trial[]> {
  const attempts = await attemptsOn(groundOf, account, command);
  return attempts.map(({ point, errno }, index) => ({
    name: `${command}: ${errno} at ${describePoint(point)}`,
    async attempt(ground) {
      const deed = deedOn(ground, command);
      const result = await strike(ground, deed.args, point, errno);
      if (result === null) return { complaints: ['never met'], met: false, lost: false };
      const told = await judge(ground, deed, result);
      const found = await holdToPromise(ground, deed, index % AGAIN === 0 ? 'again' : 'other');
      return { complaints: [...told, ...found], met: true, lost: found.length > 0 };
    },
  }));
}

/** In a sample a rename does what a register does, and a promote what a build does. */
const ALL = WHOLE ? COMMANDS : (['register', 'build', 'delete'] as const);

test.for(casesOf(ALL))(
  'as $label, a $command any of whose calls fails says so or succeeds, and loses nothing',
  async ({ account, command }, { groundOf }) => {
    const trials = await trialsOf(groundOf, account, command);
    const tally = { command: `image ${command}`, torment: 'failed calls' } as const;
    expect(await tryAll(groundOf, account, trials, tally)).toEqual([]);
  },
);
