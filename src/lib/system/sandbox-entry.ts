import type { RunTool } from './ext4.ts';
import { type ProcessOptions, type ProcessResult, type StartOptions, start } from './process.ts';
import type { Holder } from './sandbox-holder.ts';
import { LIFELINE, nsenterArguments, toolRunner } from './sandbox-tool.ts';

/** The way into a holder's namespaces. */
export interface Entry {
  /** Runs a tool of the host there. */
  runTool: RunTool;
  /** Runs a program there that is told what to do on stdin; whatever its status. */
  feed: (
    command: readonly string[],
    input: Buffer | string,
    options?: ProcessOptions,
  ) => Promise<ProcessResult>;
}

export function enterHolder(holder: Holder, signal: AbortSignal): Entry {
  return {
    runTool: toolRunner(holder, signal),
    async feed(command, input, options = {}) {
      const startOptions: StartOptions = { signal, ...options, stdin: 'pipe' };
      const child = await start(
        'nsenter',
        [...nsenterArguments(holder), ...LIFELINE, ...command],
        startOptions,
      );
      // One that ends without having read all of it fails for a reason that it gives itself.
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
      const result = await child.exited;
      startOptions.signal?.throwIfAborted();
      return result;
    },
  };
}
