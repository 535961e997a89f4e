import { createInterface, type Interface } from 'node:readline';
import { BangerError } from '../../../src/lib/errors.ts';
import { openWorkspace, type Workspace } from '../../../src/lib/workspace.ts';

const waiting: { line: string; resolve: () => void }[] = [];
const told: string[] = [];
let input: Interface | undefined;

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Waits until the test tells this word. The other end of the pipe going away ends the worker. */
export function until(line: string): Promise<void> {
  listen();
  if (told.includes(line)) return Promise.resolve();
  return new Promise((resolve) => waiting.push({ line, resolve }));
}

function listen(): void {
  if (input !== undefined) return;
  input = createInterface({ input: process.stdin });
  input.on('line', (line) => {
    told.push(line);
    for (const waiter of waiting) if (waiter.line === line) waiter.resolve();
  });
  input.on('close', () => {
    if (waiting.some(({ line }) => !told.includes(line))) process.exit(99);
  });
}

/** Opens the workspace of a state directory, as a command does. */
export function open(
  stateDir: string,
  options: { timeoutMs?: number; signal?: AbortSignal; command?: string } = {},
): Promise<Workspace> {
  return openWorkspace(
    { stateDir, lockTimeoutMs: options.timeoutMs ?? 10_000 },
    {
      signal: options.signal ?? new AbortController().signal,
      command: options.command ?? 'banger image build worker',
      notify: (message) => say(`note ${message}`),
    },
  );
}

/** Runs a worker's work; what it throws is said as `error CODE MESSAGE`. */
export async function work(run: () => Promise<void>): Promise<void> {
  say(`pid ${process.pid}`);
  try {
    await run();
    say('done');
  } catch (error) {
    const code = error instanceof BangerError ? error.code : 'unknown';
    say(`error ${code} ${error instanceof Error ? error.message : String(error)}`);
    if (code === 'unknown') process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`);
  } finally {
    input?.removeAllListeners('close').close();
  }
}

/** What a crash is: nothing runs after it. */
export function crash(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('SIGKILL did not come');
}
