import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../support/builds.ts';
import type { CliResult, Home } from '../support/cli.ts';
import { descendantsOf } from '../support/processes.ts';

/** A command that was stopped at a call, and can be woken. */
export interface Stopped {
  /** Of the program itself, not of what stopped it. */
  pid: number;
  /** Wakes it and waits for its end. */
  wake(): Promise<CliResult>;
}

let stops = 0;

/**
 * Starts a command and stops it (SIGSTOP, as by a hand) right after its main thread made a call.
 * @param path the call counts only with this file
 * @returns null when it ended before it came so far
 */
export async function stopAt(
  home: Home,
  args: readonly string[],
  { call, when, path }: { call: string; when: number; path?: string },
): Promise<Stopped | null> {
  stops += 1;
  const log = join(home.directory, `stop-${stops}`);
  const running = home.start(args, {
    under: [
      'strace',
      ...['-o', log],
      ...(path === undefined ? [] : ['-P', path]),
      ...['-e', `trace=${call}`],
      ...['-e', `inject=${call}:signal=STOP:when=${when}`],
    ],
    timeoutMs: 120_000,
  });
  let result: CliResult | undefined;
  void running.result.then((ended) => {
    result = ended;
  });
  const isStopped = (): boolean =>
    existsSync(log) && readFileSync(log, 'utf8').includes('stopped by SIGSTOP');
  await until(`${args.join(' ')} stopped`, () => result !== undefined || isStopped());
  if (result !== undefined) return null;
  const [program] = descendantsOf(running.pid);
  if (program === undefined) throw new Error('strace runs nothing');
  return {
    pid: program.pid,
    wake() {
      process.kill(program.pid, 'SIGCONT');
      return running.result;
    },
  };
}
