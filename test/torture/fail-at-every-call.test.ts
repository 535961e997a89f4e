import { expect } from 'vitest';
import { type CliResult, testAccounts } from '../support/cli.ts';
import { COMMANDS, type Command, type Deed, deedOn, stateOf } from './deeds.ts';
import { type Ground, list, test } from './ground.ts';
import { holdToPromise, tell } from './promise.ts';
import { type Blow, describePoint, type Point, recordThreads, recordTools, strike } from './strike.ts';
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

interface Attempt {
  point: Point;
  errno: Errno;
}

/** All errors at each call on the state; one at a lock, which has no room to run out of, and at a tool's other calls. */
async function attemptsOn(ground: Ground, { args, makes }: Deed): Promise<Attempt[]> {
  const own = sample(await recordThreads(ground, args), OWN);
  const others = makes ? sample(await recordTools(ground, args), TOOLS) : [];
  return [...own, ...others].flatMap((point, index) => {
    const isFull = WHOLE && point.call.name !== 'fcntl' && matters(point.call, ground.home.stateDir);
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

async function trialsOf(ground: Ground, command: Command): Promise<Trial[]> {
  const attempts = await attemptsOn(ground, deedOn(ground, command));
  return attempts.map(({ point, errno }) => ({
    name: `${command}: ${errno} at ${describePoint(point)}`,
    async attempt(own) {
      const deed = deedOn(own, command);
      const result = await strike(own, deed.args, point, errno);
      if (result === null) return { complaints: ['never met'], met: false, lost: false };
      const told = await judge(own, deed, result);
      const found = await holdToPromise(own, deed, 'again');
      return { complaints: [...told, ...found], met: true, lost: found.length > 0 };
    },
  }));
}

/** In a sample a rename does what a register does, and a promote what a build does. */
const ALL = WHOLE ? COMMANDS : (['register', 'build', 'delete'] as const);

/** What another account's commands do is what the first one's do, but for a build, which is mounted in another way. */
const CASES = testAccounts().flatMap((account, index) => {
  const another = WHOLE ? (['build'] as const) : [];
  const commands = index === 0 ? ALL : another;
  return commands.map((command) => ({ account, command, label: account.label }));
});

test.for(CASES)(
  'as $label, a $command any of whose calls fails says so or succeeds, and loses nothing',
  async ({ account, command }, { groundOf }) => {
    const trials = await trialsOf(await groundOf(account), command);
    const tally = { command: `image ${command}`, torment: 'failed calls' } as const;
    expect(await tryAll(groundOf, account, trials, tally)).toEqual([]);
  },
);
