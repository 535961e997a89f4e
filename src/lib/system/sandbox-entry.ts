import type { Readable } from 'node:stream';
import type { RunTool } from './ext4.ts';
import { type ProcessOptions, type ProcessResult, type StartOptions, start } from './process.ts';
import type { Holder } from './sandbox-holder.ts';
import { LIFELINE, nsenterArguments, toolRunner } from './sandbox-tool.ts';

/** What a program reads: first what is in memory, then a stream, which is destroyed in any case. */
export interface Input {
  head: Buffer | string;
  stream?: Readable;
}

/** The way into a holder's namespaces. */
export interface Entry {
  /** Runs a tool of the host there. */
  runTool: RunTool;
  /**
   * Runs a program there that is told what to do on stdin; whatever its status.
   * @throws what its stream failed with; the program is ended then
   */
  feed: (command: readonly string[], input: Input, options?: ProcessOptions) => Promise<ProcessResult>;
  /** Runs a program there that has our terminal; whatever its status. */
  attach: (command: readonly string[]) => Promise<ProcessResult>;
}

export function enterHolder(holder: Holder, signal: AbortSignal): Entry {
  return {
    runTool: toolRunner(holder, signal),
    async attach(command) {
      const args = [...nsenterArguments(holder), ...LIFELINE, ...command];
      const child = await start('nsenter', args, { signal, stdin: 'terminal' });
      const result = await child.exited;
      signal.throwIfAborted();
      return result;
    },
    async feed(command, { head, stream }, options = {}) {
      const startOptions: StartOptions = { signal, ...options, stdin: 'pipe' };
      try {
        const child = await start(
          'nsenter',
          [...nsenterArguments(holder), ...LIFELINE, ...command],
          startOptions,
        );
        // One that ends without having read all of it fails for a reason that it gives itself.
        child.stdin?.on('error', () => {});
        let failure: unknown;
        if (child.stdin === null || stream === undefined) child.stdin?.end(head);
        else {
          const { stdin } = child;
          stdin.write(head);
          void pump(stream, stdin).catch((error: unknown) => {
            failure = error;
            // What has come looks like all of it to whoever reads it.
            child.kill('SIGKILL');
          });
        }
        const result = await child.exited;
        startOptions.signal?.throwIfAborted();
        if (failure !== undefined) throw failure;
        return result;
      } finally {
        stream?.destroy();
      }
    },
  };
}

/** @throws what the stream failed with; no more is read when nobody takes it */
async function pump(stream: Readable, output: NodeJS.WritableStream): Promise<void> {
  let isGone = false;
  let goOn = (): void => {};
  const leave = (): void => {
    isGone = true;
    stream.destroy();
    goOn();
  };
  output
    .once('error', leave)
    .once('close', leave)
    .on('drain', () => goOn());
  try {
    for await (const chunk of stream) {
      if (isGone) return;
      const drained = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      if (!output.write(chunk)) await drained;
    }
  } catch (error) {
    // Whose stream ended because nobody read it any more has not failed.
    if (!isGone) throw error;
  }
  output.end();
}
