import { writeSync } from 'node:fs';
import { BangerError, errnoOf, messageOf } from './errors.ts';

/** What a write says when its reader has left: `| head`, or a terminal that was closed. */
const READER_LEFT = new Set(['EPIPE', 'EIO', 'ECONNRESET']);
/** How long to wait before a reader is asked again whether it has room, in milliseconds. */
const FULL_MS = 2;

/**
 * Standard output and standard error, past Node's own streams: these take three milliseconds to be made, more than all
 * else that a small command does. Each text is written when the call returns, as Node does it with pipes and files.
 */
const STDOUT = 1;
const STDERR = 2;

let outputEnded = false;

/** A result. A reader that has left ends the output, not the work; output that is lost otherwise is exit code 9. */
export function print(text: string | Uint8Array): void {
  if (outputEnded) return;
  try {
    writeWhole(STDOUT, text);
  } catch (cause) {
    outputEnded = true;
    if (READER_LEFT.has(errnoOf(cause) ?? '')) return;
    const error = new BangerError('tool_failed', `standard output: ${messageOf(cause)}`, { cause });
    process.exitCode ||= error.exitCode;
    tell(`error: ${error.message}\n`);
  }
}

/** A message beside the result. Where it cannot be written there is nobody left to tell. */
export function tell(text: string | Uint8Array): void {
  try {
    writeWhole(STDERR, text);
  } catch {
    // As said.
  }
}

/** Whether somebody sits at standard input (0) or reads messages there (2). */
export function isTerminal(descriptor: 0 | 2): boolean {
  return process.getBuiltinModule('node:tty').isatty(descriptor);
}

/** Standard error as a stream, for what redraws it. */
export function terminalStream(): NodeJS.WriteStream {
  return process.stderr.on('error', () => {});
}

function writeWhole(descriptor: number, text: string | Uint8Array): void {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(descriptor, bytes, written);
    } catch (error) {
      // Whoever shares the pipe has made it one that does not wait.
      if (errnoOf(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_MS);
    }
  }
}
