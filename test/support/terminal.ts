import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { spawn } from '@lydell/node-pty';
import type { CliOptions, Home } from './cli.ts';

export interface Terminal {
  readonly pid: number;
  /** Everything written to it so far, escape sequences and all. */
  output(): string;
  /** The same as it can be read. */
  text(): string;
  /** Types something; `\x03` is Ctrl-C. */
  type(text: string): void;
  /** Waits until the output, without its escape sequences, matches. */
  until(pattern: RegExp, timeoutMs?: number): Promise<void>;
  /** Status of the program when it has ended; 128 + n for a signal. */
  readonly exited: Promise<number>;
  kill(signal: NodeJS.Signals): void;
  /** Closes the terminal itself, as a window is closed or a connection lost. */
  hangUp(): void;
}

const WAIT_MS = 30_000;

/** Runs the built program on a pseudo-terminal of 80 by 24. */
export function startOnTerminal(home: Home, args: readonly string[], options: CliOptions = {}): Terminal {
  const [file, all] = home.commandLine(args);
  return startProgramOnTerminal(home, file, all, options);
}

/** The same for any program: a shell, say, with job control of its own. */
export function startProgramOnTerminal(
  home: Home,
  file: string,
  args: readonly string[],
  options: CliOptions = {},
): Terminal {
  const { uid, gid } = options.as ?? home.account;
  // node-pty could switch users too, but would keep our groups.
  const identity = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups'];
  const [program = file, ...rest] =
    process.getuid?.() === 0 ? ['setpriv', ...identity, file, ...args] : [file, ...args];
  const terminal = spawn(program, rest, {
    name: 'xterm-256color',
    cols: 80,
    rows: 24,
    cwd: options.cwd ?? home.directory,
    env: { TERM: 'xterm-256color', ...(options.onlyEnv ?? home.environment(options.env)) },
  });
  let output = '';
  let ended = false;
  terminal.onData((data) => {
    output += data;
  });
  const exited = new Promise<number>((resolve) => {
    terminal.onExit(({ exitCode, signal }) => {
      ended = true;
      resolve(signal ? 128 + signal : exitCode);
    });
  });
  return {
    pid: terminal.pid,
    output: () => output,
    text: () => stripVTControlCharacters(output),
    type: (text) => terminal.write(text),
    exited,
    kill: (signal) => process.kill(terminal.pid, signal),
    hangUp() {
      // Its types leave it out. It sends SIGHUP too, as a shell that ends does.
      (terminal as typeof terminal & { destroy(): void }).destroy();
    },
    async until(pattern, timeoutMs = WAIT_MS) {
      const deadline = Date.now() + timeoutMs;
      while (!pattern.test(stripVTControlCharacters(output))) {
        if (ended || Date.now() > deadline) throw new Error(`${pattern} did not come:\n${output}`);
        await sleep(20);
      }
    },
  };
}
