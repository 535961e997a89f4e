import { flush, run } from '@oclif/core';
import { errorJson, errorText, toBangerError } from './lib/error-report.ts';

/** The whole program: finds the command, runs it, and turns what it throws into an exit code. */
export async function main(entry: string): Promise<void> {
  // A reader that has left (`| head`) ends the output, not the work.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  const argv = process.argv.slice(2);
  try {
    await run(argv, entry);
    await flush();
  } catch (thrown) {
    const error = toBangerError(thrown);
    process.exitCode = error.exitCode;
    if (argv.includes('--json')) process.stdout.write(`${JSON.stringify(errorJson(error), null, 2)}\n`);
    else process.stderr.write(errorText(error, process.stderr));
  }
}
