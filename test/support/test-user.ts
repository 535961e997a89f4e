import { randomBytes } from 'node:crypto';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../src/lib/system/process.ts';
import { isOwnerAlive, ownerOf } from './test-owner.ts';

/** An account that commands run as. */
export interface Account {
  /** For the names of tests: the user's own name is another each time. */
  label: 'root' | 'ordinary user';
  name: string;
  uid: number;
  gid: number;
}

const PREFIX = 'banger-test-';
const COMMENT = 'banger tests of ';
/** How many subordinate ids a user gets (useradd(8), SUB_UID_COUNT). */
const SUBORDINATE_IDS = 65536;
/** How long to wait for another useradd to let go of /etc/passwd, in milliseconds. */
const PASSWD_LOCK_MS = 15_000;
/** How long processes that were killed may take to be gone, in milliseconds. */
const ENDING_MS = 3000;

/** useradd, userdel: exit 1 when they cannot lock /etc/passwd, which they do not wait for. */
async function changeAccounts(
  tool: string,
  args: readonly string[],
  okExit: readonly number[] = [0],
): Promise<void> {
  const deadline = Date.now() + PASSWD_LOCK_MS;
  while (true) {
    const { exitCode, stderr } = await run(tool, args, { okExit: 'any' });
    if (okExit.includes(exitCode)) return;
    if (!stderr.includes('cannot lock') || Date.now() > deadline)
      throw new Error(`${tool}: ${exitCode}: ${stderr}`);
    await sleep(100 + Math.random() * 200);
  }
}

/** Makes an ordinary user with ranges of subordinate ids, which is a leftover once this process is dead. */
export async function createTestUser(home: string): Promise<Account> {
  const name = PREFIX + randomBytes(4).toString('hex');
  await changeAccounts('useradd', [
    ...['--comment', COMMENT + ownerOf(process.pid)],
    ...['--home-dir', home],
    '--no-create-home',
    ...['--shell', '/bin/sh'],
    name,
  ]);
  for (const [file, flag] of [
    ['/etc/subuid', '--add-subuids'],
    ['/etc/subgid', '--add-subgids'],
  ] as const) {
    // useradd gives ranges only where the file exists.
    appendFileSync(file, '');
    const ranges = readFileSync(file, 'utf8').trim().split('\n');
    if (ranges.some((range) => range.startsWith(`${name}:`))) continue;
    const ends = ranges
      .map((range) => range.split(':').slice(1).map(Number))
      .map(([first = 0, count = 0]) => first + count);
    const first = Math.max(100_000, ...ends);
    await changeAccounts('usermod', [flag, `${first}-${first + SUBORDINATE_IDS - 1}`, name]);
  }
  const { stdout } = await run('id', ['-u', name]);
  const group = await run('id', ['-g', name]);
  return { label: 'ordinary user', name, uid: Number(stdout), gid: Number(group.stdout) };
}

/** Removes a test user and everything that still runs as it; returns what did, as command lines. */
export async function removeTestUser(name: string): Promise<string[]> {
  const { stdout } = await run('id', ['-u', name]);
  // The first process of a namespace ends when all others have been collected, which the machine's init may put off.
  const deadline = Date.now() + ENDING_MS;
  while (processesOf(name, Number(stdout)).length > 0 && Date.now() < deadline) await sleep(50);
  const left: string[] = [];
  for (const pid of processesOf(name, Number(stdout))) {
    left.push(commandOf(pid));
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
  // 6: gone already; 12: it has no home of its own to remove.
  await changeAccounts('userdel', ['--force', name], [0, 6, 12]);
  return left;
}

/** Removes the users of test runs that died before they could. */
export async function removeForgottenTestUsers(): Promise<void> {
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name = '', , , , comment = ''] = line.split(':');
    if (!name.startsWith(PREFIX) || !comment.startsWith(COMMENT)) continue;
    if (!isOwnerAlive(comment.slice(COMMENT.length))) await removeTestUser(name);
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return `process ${pid}`;
  }
}

/** Processes with a user's own id or one of its subordinate ids. */
function processesOf(name: string, uid: number): number[] {
  const ranges = readFileSync('/etc/subuid', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([owner]) => owner === name)
    .map(([, first, count]) => ({ first: Number(first), end: Number(first) + Number(count) }));
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/u.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        // Ended, but its foster parent has not noticed yet.
        if (/^State:\s+[ZX]/mu.test(status)) return false;
        const [, real] = /^Uid:\s+(\d+)/mu.exec(status) ?? [];
        const id = Number(real);
        return id === uid || ranges.some(({ first, end }) => id >= first && id < end);
      } catch {
        return false;
      }
    });
}
