import { expect, inject } from 'vitest';
import { COMMANDS, deedOn } from './deeds.ts';
import { type Ground, test } from './ground.ts';
import { holdToPromise } from './promise.ts';
import { describePoint, type Point, recordThreads, strike } from './strike.ts';
import { count, WHOLE } from './tally.ts';

/** Of a promote's commits the plan, the end of the stage, and the row: the ones that can do most harm. */
const AROUND_PUBLISHING = [-6, -3] as const;

async function commitsOf(ground: Ground, args: readonly string[]): Promise<Point[]> {
  const points = await recordThreads(ground, args);
  // SQLite writes a transaction to the -wal and syncs it; what it syncs of the database itself is a copy of that.
  return points.filter(({ call: { name, target } }) => name === 'fsync' && target.endsWith('/banger.db-wal'));
}

/**
 * The next time that SQLite writes: until then what could not be synced is still what the next reader finds in the -wal,
 * and shows. Whoever takes a COMMIT that failed for one that was not made has undone by then what the row speaks of.
 */
function nextWrite({ call, among }: Point): { name: string; ordinal: number } {
  const written = among.slice(0, among.indexOf(call)).filter(({ name }) => name === 'pwrite64');
  return { name: 'pwrite64', ordinal: written.length + 1 };
}

test.for(WHOLE ? COMMANDS : (['promote'] as const))(
  'a %s whose COMMIT could not be synced loses nothing, whatever became of it',
  async (command, { groundOf }) => {
    const { root, user } = inject('testRun');
    const ground = await groundOf(root ?? user);
    const deed = deedOn(ground, command);
    const commits = await commitsOf(ground, deed.args);
    const complaints: string[] = [];
    let lost = 0;
    const points = WHOLE ? commits : commits.slice(...AROUND_PUBLISHING);
    for (const point of points) {
      const result = await strike(ground, deed.args, point, 'error=EIO', nextWrite(point));
      // The first of them may be told before anything more is written (9), and after the last there is nothing to write.
      if (![137, 9, 0].includes(result?.status ?? -1) || (result?.status === 0 && point !== points.at(-1)))
        complaints.push(`${describePoint(point)}: ${result ? `exit ${result.status}` : 'never met'}`);
      // By another command: it settles what was left, and changes nothing of what is listed.
      const found = await holdToPromise(ground, deed, 'other');
      if (found.length > 0) lost += 1;
      complaints.push(...found.map((complaint) => `${describePoint(point)}: ${complaint}`));
    }
    count({ command: deed.command, torment: 'failed calls', tried: points.length, lost });
    expect(complaints).toEqual([]);
    expect(points).not.toEqual([]);
  },
);
