import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { registerImage } from '../support/boot-files.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { attempt } from './hostile-attempt.ts';
import { SEED, Seeded } from './seeded.ts';
import { count, sample, WHOLE } from './tally.ts';

// An ordinary user: nothing is read-only to root.
const { user } = inject('testRun');

interface Mischief {
  name: string;
  /** What is done to a registry, given the path of its database. */
  apply(database: string): void;
  /** What `list` may come to (default: 11). */
  listing?: readonly number[];
  /** What a command that changes something may come to (default: as `list`). */
  changing?: readonly number[];
}

function sh(script: string): (database: string) => void {
  return (database) => void execFileSync('sh', ['-c', script, database]);
}

function flipBits(howMany: number, seeded: Seeded): (database: string) => void {
  return (database) => {
    const bytes = readFileSync(database);
    for (let n = 0; n < howMany; n += 1) {
      const at = seeded.below(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << seeded.below(8));
    }
    writeFileSync(database, bytes);
  };
}

function overwrite(offset: number, text: string): (database: string) => void {
  return (database) => {
    const file = openSync(database, 'r+');
    writeSync(file, text, offset);
    closeSync(file);
  };
}

/** Wherever it is: how the pages lie is SQLite's own business. */
function replaceAll(what: string, by: string): (database: string) => void {
  return (database) => {
    const text = readFileSync(database, 'latin1');
    const garbled = text.replaceAll(new RegExp(what, 'giu'), by);
    if (garbled === text) throw new Error(`there is no ${what} in it`);
    writeFileSync(database, garbled, 'latin1');
  };
}

const ANY = [0, 3, 4, 6, 7, 9, 11];

const MISCHIEFS: readonly Mischief[] = [
  {
    name: 'a database of another program',
    apply: sh('rm "$0"; sqlite3 "$0" "CREATE TABLE bookmarks (url)"'),
    listing: [6],
  },
  { name: 'a newer one', apply: sh('sqlite3 "$0" "PRAGMA user_version = 99"'), listing: [6] },
  {
    name: 'ours without its tables',
    apply: sh('sqlite3 "$0" "DROP TABLE reservations; DROP TABLE lock"'),
    listing: [11],
  },
  {
    name: 'ours without its images',
    apply: sh('sqlite3 "$0" "PRAGMA foreign_keys = OFF; DROP TABLE images"'),
    listing: [11],
  },
  {
    name: 'ours with other columns',
    apply: sh('sqlite3 "$0" "ALTER TABLE images RENAME COLUMN kernel_path TO core"'),
    listing: [0, 11],
    changing: [0, 11],
  },
  {
    name: 'ours without its lock row',
    apply: sh('sqlite3 "$0" "DELETE FROM lock"'),
    listing: [0],
    changing: [11],
  },
  { name: 'text', apply: sh('echo hello >"$0"') },
  { name: 'zeros', apply: sh('rm "$0"; truncate -s 64K "$0"') },
  {
    name: 'sixteen TiB of nothing',
    apply: sh('rm "$0"; truncate -s 16T "$0" 2>/dev/null || truncate -s 1T "$0"'),
  },
  { name: 'a header alone', apply: (database) => truncateSync(database, 100) },
  {
    name: 'half of it',
    apply: (database) => truncateSync(database, statSync(database).size / 2),
    listing: [0, 11],
    changing: [0, 11],
  },
  {
    name: 'all but the last byte',
    apply: (database) => truncateSync(database, statSync(database).size - 1),
    listing: [0, 11],
    changing: [0, 11],
  },
  { name: 'page sizes that cannot be', apply: overwrite(16, '\u0003\u0003'), listing: [6, 11] },
  { name: 'a file format of the future', apply: overwrite(18, '\u0009\u0009'), listing: [6, 11] },
  { name: 'a garbled schema', apply: replaceAll('CREATE TABLE', 'xxxxxx xxxxx'), listing: [6, 11] },
  {
    name: 'a -wal of garbage',
    apply: sh('head -c 100000 /dev/zero | tr "\\0" x >"$0-wal"'),
    listing: [0],
    changing: [0],
  },
  {
    name: 'a -shm of garbage',
    apply: sh('head -c 32768 /dev/zero | tr "\\0" x >"$0-shm"'),
    listing: [0],
    changing: [0],
  },
  { name: 'a -wal that is a directory', apply: sh('mkdir "$0-wal"'), listing: [0, 6, 9, 11] },
  { name: 'a -wal that is a FIFO', apply: sh('mkfifo "$0-wal"'), listing: [0, 6, 9, 11] },
  { name: 'a FIFO', apply: sh('rm "$0"; mkfifo "$0"'), listing: [6] },
  { name: 'a directory', apply: sh('rm "$0"; mkdir "$0"'), listing: [6] },
  { name: 'a device', apply: sh('rm "$0"; ln -s /dev/zero "$0"'), listing: [6] },
  { name: 'a loop', apply: sh('rm "$0"; ln -s banger.db "$0"'), listing: [6] },
  { name: 'a read-only file', apply: sh('chmod 0444 "$0"'), listing: [0], changing: [6] },
  { name: 'a file that nobody may read', apply: sh('chmod 0 "$0"'), listing: [6] },
  { name: 'a read-only directory', apply: sh('chmod 0500 "$(dirname "$0")"'), listing: [0], changing: [6] },
  {
    name: 'live files that are none',
    apply: sh('cd "$(dirname "$0")/live"; echo x >a.lock; mkdir b.lock; mkfifo c.lock'),
    listing: [0],
    changing: [0],
  },
];

/** Copies a state back to what it was; a mischief may have taken rights away. */
function restore(home: Home): void {
  const script = 'chmod -R u+rwX "$0" 2>/dev/null; rm -rf "$0"; cp -a "$0.pristine" "$0"';
  execFileSync('sh', ['-c', script, home.stateDir]);
}

/** All that is wrong with what commands make of a registry. */
async function complaintsOf(
  home: Home,
  { name, listing = [11], changing = listing }: Mischief,
): Promise<string[]> {
  const commands: readonly (readonly [args: string[], allowed: readonly number[]])[] = [
    [['image', 'list', '--json'], listing],
    [['image', 'show', 'one'], listing],
    [['image', 'rename', 'one', 'two', '--lock-timeout', '1'], changing],
    [
      ['image', 'delete', 'two', 'one', '--lock-timeout', '1'],
      changing.includes(0) ? [...changing, 3] : changing,
    ],
  ];
  const found: string[] = [];
  for (const [args, allowed] of commands) {
    const { status, said, complaint } = await attempt(home, args, { as: user });
    const wrong = allowed.includes(status) ? null : `exit ${status}, not ${allowed.join(' or ')}: ${said}`;
    for (const text of [complaint, wrong]) {
      if (text !== null) found.push(`${name}: ${args.join(' ')}: ${text}`);
    }
    count({
      command: args.slice(0, 2).join(' '),
      torment: 'hostile inputs',
      tried: 1,
      lost: complaint === null ? 0 : 1,
    });
  }
  return found;
}

/** A registry of two images, closed, and a copy of it. */
async function makeState(home: Home): Promise<string> {
  await registerImage(home, 'one');
  await home.ok(['image', 'register', 'other', ...['--rootfs', 'one.ext4', '--kernel', 'one.vmlinuz']]);
  await home.ok(['image', 'promote', 'other']);
  execFileSync('cp', ['-a', home.stateDir, `${home.stateDir}.pristine`]);
  const database = join(home.stateDir, 'banger.db');
  if (existsSync(`${database}-wal`)) throw new Error('the registry is not at rest');
  return database;
}

// Side by side: whoever meets a lock waits for seconds.
describe.concurrent('a registry', () => {
  test('that is not as it should be is told of, or works', async ({ makeHome }) => {
    const home = await makeHome(user);
    const database = await makeState(home);
    const complaints: string[] = [];
    const seeded = new Seeded(SEED);
    const flips = Array.from({ length: WHOLE ? 40 : 1 }, (): Mischief => {
      const howMany = seeded.pick([1, 4, 30]);
      return { name: `${howMany} bits turned around`, apply: flipBits(howMany, seeded), listing: ANY };
    });
    for (const mischief of [...sample(MISCHIEFS, 4), ...flips]) {
      mischief.apply(database);
      execFileSync('chown', ['-hR', `${user.uid}:${user.gid}`, home.stateDir]);
      complaints.push(...(await complaintsOf(home, mischief)));
      restore(home);
    }
    expect(complaints, `seed ${SEED}`).toEqual([]);
    await home.ok(['image', 'rename', 'one', 'free']);
  });

  const LOCKS = [
    ['BEGIN EXCLUSIVE', 'BEGIN EXCLUSIVE;', [0]],
    [
      'a whole database to itself',
      'PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE lock SET epoch = epoch;',
      [7],
    ],
  ] as const;

  test.for(LOCKS)(
    'that sqlite3 has locked (%s): 7 naming it, and nothing is lost',
    async ([, statements, listing], { makeHome }) => {
      const home = await makeHome(user);
      const database = await makeState(home);
      const other = spawn('sqlite3', [database], {
        stdio: ['pipe', 'pipe', 'inherit'],
        uid: user.uid,
        gid: user.gid,
      });
      try {
        other.stdin.write(`${statements}\nSELECT 'locked';\n`);
        await new Promise<void>((resolve) => other.stdout.once('data', () => resolve()));
        const commands: readonly (readonly [string[], readonly number[]])[] = [
          [['image', 'list'], listing],
          [['image', 'rename', 'one', 'two', '--lock-timeout', '1'], [7]],
          [['image', 'delete', 'one', '--lock-timeout', '1'], [7]],
        ];
        await Promise.all(
          commands.map(async ([args, allowed]) => {
            const { status, said, complaint } = await attempt(home, args);
            expect(complaint).toBeNull();
            expect(allowed, said).toContain(status);
            if (status === 7)
              expect(said).toContain(`'sqlite3' is writing to the registry (pid ${other.pid})`);
            count({ command: args.slice(0, 2).join(' '), torment: 'hostile inputs', tried: 1, lost: 0 });
          }),
        );
      } finally {
        other.kill('SIGKILL');
        await new Promise((resolve) => other.once('close', resolve));
      }
      await home.ok(['image', 'rename', 'one', 'two']);
    },
  );
});
