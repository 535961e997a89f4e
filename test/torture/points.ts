import { testAccounts } from '../support/cli.ts';
import type { Account } from '../support/test-user.ts';
import { type Command, deedOn } from './deeds.ts';
import type { GroundOf } from './ground.ts';
import { identityOf, type Point, recordThreads, recordTools } from './strike.ts';
import { WHOLE } from './tally.ts';

/** Where a command is struck at: calls of the program's own, and of the tools that it starts. */
export interface Points {
  own: Point[];
  tools: Point[];
}

/** Tools that another account's builds do other things with: a disk is mounted in another way. */
const OF_THE_ACCOUNT = new Set(['unshare', 'nsenter', 'bwrap', 'fuse2fs', 'mount', 'umount']);

/**
 * The calls of a command, all of them as the first account of the tests. As another one, those that the first does not
 * make: the program and most of its tools do the same whoever runs them.
 */
export async function pointsOf(groundOf: GroundOf, account: Account, command: Command): Promise<Points> {
  const points = await recordOn(groundOf, account, command);
  const [first] = testAccounts();
  if (first === undefined || account === first) return points;
  const theirs = new Set((await recordOwn(groundOf, first, command)).map(identityOf));
  return {
    own: points.own.filter((point) => !theirs.has(identityOf(point))),
    tools: points.tools.filter(({ place }) => typeof place !== 'string' && OF_THE_ACCOUNT.has(place.name)),
  };
}

async function recordOwn(groundOf: GroundOf, account: Account, command: Command): Promise<Point[]> {
  const ground = await groundOf(account);
  return recordThreads(ground, deedOn(ground, command).args);
}

async function recordOn(groundOf: GroundOf, account: Account, command: Command): Promise<Points> {
  const ground = await groundOf(account);
  const { args, makes } = deedOn(ground, command);
  return {
    own: await recordOwn(groundOf, account, command),
    tools: makes === null ? [] : await recordTools(ground, args),
  };
}

export interface Case {
  account: Account;
  command: Command;
  label: string;
}

/** What is tried: commands as the first account, and builds as any other one. */
export function casesOf(commands: readonly Command[]): Case[] {
  return testAccounts().flatMap((account, index) => {
    const another = WHOLE ? (['build'] as const) : [];
    return (index === 0 ? commands : another).map((command) => ({ account, command, label: account.label }));
  });
}
