import { expect } from 'vitest';
import type { Account } from '../support/test-user.ts';
import { COMMANDS, type Command, deedOn } from './deeds.ts';
import { type GroundOf, test } from './ground.ts';
import { casesOf, pointsOf } from './points.ts';
import { holdToPromise, type Next } from './promise.ts';
import { type Blow, describePoint, type Point, strike } from './strike.ts';
import { sample, WHOLE } from './tally.ts';
import { matters } from './trace.ts';
import { type Trial, tryAll } from './trials.ts';

/** What is done at a point, and what comes after it, each from the state that the kill left. */
interface Round {
  blow: Extract<Blow, `kill ${string}`>;
  nexts: readonly [Next, ...Next[]];
}

const ALL: readonly Round[] = [
  { blow: 'kill alone', nexts: ['other', 'again'] },
  { blow: 'kill group', nexts: ['again', 'other'] },
];
/** Where there are many points, one of these comes after each kill. */
const IN_TURN: readonly [readonly Round[], readonly Round[]] = [
  [
    { blow: 'kill alone', nexts: ['other'] },
    { blow: 'kill group', nexts: ['again'] },
  ],
  [
    { blow: 'kill alone', nexts: ['again'] },
    { blow: 'kill group', nexts: ['other'] },
  ],
];
/** Of each command where not all are tried: of its own calls, and of its tools'. */
const OWN = 3;
const TOOLS = 1;

type Attempt = Round & { point: Point };

/** Both kills with both commands after them at each of a command's own calls; one after each at its tools' thousands. */
async function attemptsOn(groundOf: GroundOf, account: Account, command: Command): Promise<Attempt[]> {
  const { own, tools } = await pointsOf(groundOf, account, command);
  const { stateDir } = (await groundOf(account)).home;
  const onState = tools.filter(({ call }) => matters(call, stateDir));
  return [
    ...sample(own, OWN).flatMap((point, index) => (WHOLE ? each(point, ALL) : inTurn(point, index))),
    ...sample(onState, TOOLS).flatMap(inTurn),
  ];
}

function each(point: Point, rounds: readonly Round[]): Attempt[] {
  return rounds.map((round) => ({ ...round, point }));
}

function inTurn(point: Point, index: number): Attempt[] {
  const rounds = each(point, IN_TURN[index % 2 === 0 ? 0 : 1]);
  return WHOLE ? rounds : rounds.slice(0, 1);
}

async function trialsOf(groundOf: GroundOf, account: Account, command: Command): Promise<Trial[]> {
  const attempts = await attemptsOn(groundOf, account, command);
  return attempts.map(({ point, blow, nexts: [next, ...more] }) => ({
    name: `${command}: ${blow} at ${describePoint(point)}, then ${[next, ...more].join(' or ')}`,
    async attempt(ground) {
      const deed = deedOn(ground, command);
      const result = await strike(ground, deed.args, point, blow);
      if (result?.status !== 137)
        return { complaints: [result ? `exit ${result.status}` : 'never met'], met: false, lost: false };
      const restore = more.length > 0 ? await ground.save() : null;
      const complaints = await holdToPromise(ground, deed, next);
      for (const another of more) {
        await restore?.();
        complaints.push(...(await holdToPromise(ground, deed, another)));
      }
      return { complaints, met: true, lost: complaints.length > 0 };
    },
  }));
}

test.for(casesOf(COMMANDS))(
  'as $label, a $command that is killed at any call is done or undone, and the next command cleans up',
  async ({ account, command }, { groundOf }) => {
    const trials = await trialsOf(groundOf, account, command);
    const tally = { command: `image ${command}`, torment: 'kills' } as const;
    expect(await tryAll(groundOf, account, trials, tally)).toEqual([]);
  },
);
