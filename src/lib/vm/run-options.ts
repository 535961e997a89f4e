import { machineFrom, type TypedMachine } from '../image/boot-trial.ts';
import { parseDuration } from '../image/duration.ts';
import { type ConsoleOptions, showConsole } from '../machine/console.ts';
import { guestCommand } from './command-line.ts';
import type { RunOptions } from './run.ts';

/** The flags of a run, as they are typed. */
export interface TypedRun extends TypedMachine {
  'ssh-port'?: number | undefined;
  timeout: string;
}

/**
 * @param command one word: a line for the guest's shell; several: a program and its arguments
 * @throws BangerError `usage`
 */
export function runOptions(typed: TypedRun, command: readonly string[], console: ConsoleOptions): RunOptions {
  return {
    ...machineFrom(typed),
    sshPort: typed['ssh-port'],
    timeoutMs: parseDuration(typed.timeout),
    command: guestCommand(command),
    show: showConsole(console),
  };
}
