import { styleText } from 'node:util';
import { BangerError, type ErrorOptions, messageOf, PreflightError } from './errors.ts';
import { nearestTo } from './nearest.ts';
import { formatJson, oneLine, stripControl } from './text.ts';

/** oclif's own complaints: about flags and arguments, or about a command that there is not. */
function isOclifError(error: Error): error is Error & { oclif: { exit?: number } } {
  return 'oclif' in error && typeof error.oclif === 'object';
}

/** Whatever was thrown, as the one kind of error that users see. */
export function toBangerError(
  thrown: unknown,
  commandId?: string,
  flags: readonly string[] = [],
): BangerError {
  if (thrown instanceof BangerError) return thrown;
  if (thrown instanceof Error && isOclifError(thrown)) {
    const help = ['banger', ...(commandId ?? '').split(':').filter((word) => word !== ''), '--help'].join(
      ' ',
    );
    return new BangerError('usage', usageMessage(thrown.message), {
      hints: [...nearestFlags(thrown, flags), help],
      cause: thrown,
    });
  }
  const options: ErrorOptions = {
    cause: thrown,
    hints: ['this is a bug in banger: report it with the command that you ran'],
  };
  return new BangerError('internal', `unexpected: ${messageOf(thrown)}`, options);
}

/** oclif's complaints about flags and arguments, in the words of the other messages. */
function usageMessage(message: string): string {
  return message
    .replace(/\nSee more help with --help$/u, '')
    .replace(/^Parsing (--\S+) \n\t/u, '$1: ')
    .replace(/^The following errors? occurred:\n {2}/u, '')
    .replaceAll(/(?:^|\n {2})Missing required flag (\S+)/gu, (_, name: string, at: number) =>
      at === 0 ? `missing required --${name}` : `, --${name}`,
    )
    .replace(
      /^Missing \d+ required args?:\n(\S+).*$/su,
      (_, name: string) => `missing argument ${name.toUpperCase()}`,
    )
    .replace(/^[A-Z](?=[a-z])/u, (letter) => letter.toLowerCase())
    .replace(/(?<=^--\S+: )Expected/u, 'expected');
}

function nearestFlags(error: Error, known: readonly string[]): string[] {
  if (!('flags' in error) || !Array.isArray(error.flags)) return [];
  return error.flags.flatMap((typed) => {
    const word = String(typed).replace(/^-+/u, '').replace(/=.*$/su, '');
    return nearestTo(word, known).map((name) => `did you mean --${name}?`);
  });
}

/** The JSON document of a failure. */
export function errorDocument(error: BangerError): string {
  return formatJson({
    error: {
      code: error.code,
      exit_code: error.exitCode,
      message: stripControl(error.message),
      hints: error.hints,
      ...error.details,
    },
  });
}

/** The same for people: what failed, then what to do; of several faults each with what mends it. */
export function errorText(error: BangerError, stream: { isTTY?: boolean }): string {
  const paint = (format: 'red' | 'dim', text: string): string =>
    stream.isTTY && !process.env.NO_COLOR ? styleText(format, text, { validateStream: false }) : text;
  const hint = (indent: string, text: string): string => `${indent}${paint('dim', '→')} ${oneLine(text)}\n`;
  const heading = paint('red', 'error:');
  if (error instanceof PreflightError && error.faults.length > 1) {
    const faults = error.faults.map(
      ({ message, mend }) => `  - ${stripControl(message)}\n${hint('    ', mend)}`,
    );
    return `${heading} ${stripControl(error.summary)}\n${faults.join('')}`;
  }
  return `${heading} ${stripControl(error.message)}\n${error.hints.map((text) => hint('  ', text)).join('')}`;
}
