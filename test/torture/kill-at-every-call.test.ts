import { expect } from 'vitest';
import { testAccounts } from '../support/cli.ts';
import { COMMANDS, type Command, type Deed, deedOn } from './deeds.ts';
import { type Ground, test } from './ground.ts';
import { holdToPromise, type Next } from './promise.ts';
import { type Blow, describePoint, type Point, recordThreads, recordTools, strike } from './strike.ts';
import { sample, WHOLE } from './tally.ts';
import { matters } from './trace.ts';
import { type Trial, tryAll } from './trials.ts';

interface Round {
  blow: Extract<Blow, `kill ${string}`>;
  next: Next;
}

const ROUNDS: readonly [Round, ...Round[]] = [
  { blow: 'kill alone', next: 'other' },
  { blow: 'kill group', next: 'again' },
  { blow: 'kill alone', next: 'again' },
  { blow: 'kill group', next: 'other' },
];
/** Of each command where not all are tried: of its own calls, and of its tools'. */
const OWN = 3;
const TOOLS = 1;

type Attempt = Round & { point: Point };

/** All rounds at each of a command's own calls; at its tools', of which there are thousands, one after the other. */
async function attemptsOn(ground: Ground, { args, makes }: Deed): Promise<Attempt[]> {
  const own = sample(await recordThreads(ground, args), OWN);
  const others = makes ? sample((await recordTools(ground, args)).filter(isOnState), TOOLS) : [];
  return [
    ...own.flatMap((point, index) =>
      WHOLE ? ROUNDS.map((round) => ({ ...round, point })) : [inTurn(point, index)],
    ),
    ...others.map(inTurn),
  ];

  function isOnState({ call }: Point): boolean {
    return matters(call, ground.home.stateDir);
  }
}

function inTurn(point: Point, index: number): Attempt {
  const [first, ...rest] = ROUNDS;
  return { ...(rest[(index % ROUNDS.length) - 1] ?? first), point };
}

async function trialsOf(ground: Ground, command: Command): Promise<Trial[]> {
  const attempts = await attemptsOn(ground, deedOn(ground, command));
  return attempts.map(({ point, blow, next }) => ({
    name: `${command}: ${blow} at ${describePoint(point)}, then ${next}`,
    async attempt(own) {
      const deed = deedOn(own, command);
      const result = await strike(own, deed.args, point, blow);
      if (result?.status !== 137)
        return { complaints: [result ? `exit ${result.status}` : 'never met'], met: false, lost: false };
      const complaints = await holdToPromise(own, deed, next);
      return { complaints, met: true, lost: complaints.length > 0 };
    },
  }));
}

/** What another account's commands do is what the first one's do, but for a build, which is mounted in another way. */
const CASES = testAccounts().flatMap((account, index) => {
  const another = WHOLE ? (['build'] as const) : [];
  const commands = index === 0 ? COMMANDS : another;
  return commands.map((command) => ({ account, command, label: account.label }));
});

test.for(CASES)(
  'as $label, a $command that is killed at any call is done or undone, and the next command cleans up',
  async ({ account, command }, { groundOf }) => {
    const trials = await trialsOf(await groundOf(account), command);
    const tally = { command: `image ${command}`, torment: 'kills' } as const;
    expect(await tryAll(groundOf, account, trials, tally)).toEqual([]);
  },
);
