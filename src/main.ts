import { fileURLToPath } from 'node:url';
import { run } from '@oclif/core';
import { errorDocument, errorText, toBangerError } from './lib/error-report.ts';
import { BangerError, messageOf } from './lib/errors.ts';

/** What a write says when its reader has left: `| head`, or a terminal that was closed. */
const READER_LEFT = new Set(['EPIPE', 'EIO', 'ECONNRESET']);

/** The whole program: finds the command, runs it, and turns what it throws into an exit code. */
export async function main(entry: string): Promise<void> {
  watchOutput();
  const argv = argvOf(process.argv.slice(2));
  try {
    // No plugins of users: what stands in a HOME is not looked into.
    await run(argv, { root: fileURLToPath(entry), userPlugins: false, devPlugins: false });
  } catch (thrown) {
    const error = toBangerError(thrown);
    process.exitCode = error.exitCode;
    if (argv.includes('--json')) process.stdout.write(errorDocument(error));
    else process.stderr.write(errorText(error, process.stderr));
  }
}

/** A reader that has left ends the output, not the work; output that is lost otherwise is a failure. */
function watchOutput(): void {
  // oclif's own listener throws, and the clean-up after a closed terminal would not come to its end.
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', (cause: NodeJS.ErrnoException) => {
    if (READER_LEFT.has(cause.code ?? '')) return;
    const error = new BangerError('tool_failed', `standard output: ${messageOf(cause)}`, { cause });
    process.exitCode ||= error.exitCode;
    process.stderr.write(errorText(error, process.stderr));
  });
  // There is nobody left to tell.
  process.stderr.on('error', () => {});
}

/** `banger help image list` for whoever is used to it. */
function argvOf(argv: readonly string[]): string[] {
  return argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv];
}
