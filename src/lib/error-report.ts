import { styleText } from 'node:util';
import { BangerError, type ErrorOptions, messageOf } from './errors.ts';
import { nearestTo } from './nearest.ts';
import { oneLine, stripControl } from './text.ts';

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
    return new BangerError('usage', thrown.message.replace(/\nSee more help with --help$/u, ''), {
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

function nearestFlags(error: Error, known: readonly string[]): string[] {
  if (!('flags' in error) || !Array.isArray(error.flags)) return [];
  return error.flags.flatMap((typed) => {
    const word = String(typed).replace(/^-+/u, '').replace(/=.*$/su, '');
    return nearestTo(word, known).map((name) => `did you mean --${name}?`);
  });
}

/** The JSON document of a failure. */
export function errorJson(error: BangerError): { error: Record<string, unknown> } {
  return {
    error: {
      code: error.code,
      exit_code: error.exitCode,
      message: stripControl(error.message),
      hints: error.hints,
      ...error.details,
    },
  };
}

/** The same for people: what failed, then what to do. */
export function errorText(error: BangerError, stream: { isTTY?: boolean }): string {
  const paint = (format: 'red' | 'dim', text: string): string =>
    stream.isTTY && !process.env.NO_COLOR ? styleText(format, text, { validateStream: false }) : text;
  const hints = error.hints.map((hint) => `  ${paint('dim', '→')} ${oneLine(hint)}\n`);
  return `${paint('red', 'error:')} ${stripControl(error.message)}\n${hints.join('')}`;
}
