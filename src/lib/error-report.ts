import { styleText } from 'node:util';
import { BangerError, type ErrorOptions, errnoOf, messageOf, PreflightError } from './errors.ts';
import { nearestTo } from './nearest.ts';
import { isTerminal, print, tell } from './output.ts';
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
  const refusal = systemRefusal(thrown);
  if (refusal) return refusal;
  const options: ErrorOptions = {
    cause: thrown,
    hints: ['this is a bug in banger: report it with the command that you ran'],
  };
  return new BangerError('internal', `unexpected: ${messageOf(thrown)}`, options);
}

const MAKE_ROOM = 'make room: banger cache prune, banger trash empty, or banger image delete --purge NAME';
const CHECK_RIGHTS = 'check owner and mode of what is named';
/** What the system says no to (errno(3)), and what mends it. */
const REFUSALS: Readonly<Record<string, string>> = {
  ENOSPC: MAKE_ROOM,
  EDQUOT: MAKE_ROOM,
  EACCES: CHECK_RIGHTS,
  EPERM: CHECK_RIGHTS,
  EROFS: 'choose another place: --state-dir DIR',
  EMFILE: 'allow more open files: ulimit -n 4096',
  ENFILE: 'end programs that have many files open: lsof',
  ENOMEM: 'end programs that take much memory: free -h',
};

const DISK_FAILURES = ['EIO', 'EUCLEAN', 'ESTALE'];

/** A system call that was refused, or a device that failed: no bug of ours. */
function systemRefusal(thrown: unknown): BangerError | undefined {
  const errno = errnoOf(thrown) ?? '';
  if (DISK_FAILURES.includes(errno)) {
    return new BangerError('tool_failed', `the disk returned an error: ${messageOf(thrown)}`, {
      hints: ['dmesg | tail'],
      cause: thrown,
    });
  }
  const mend = REFUSALS[errno];
  return mend === undefined
    ? undefined
    : new BangerError('preflight_failed', messageOf(thrown), { hints: [mend], cause: thrown });
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

/** Tells of a failure: a document on standard output, with what a command adds to it, or a text for people. */
export function report(
  error: BangerError,
  json: boolean,
  added: Readonly<Record<string, unknown>> = {},
): void {
  if (json) print(formatJson({ ...added, ...errorDocument(error) }));
  else tell(errorText(error, { isTTY: isTerminal(2) }));
}

/** The JSON document of a failure. */
export function errorDocument(error: BangerError): { error: Record<string, unknown> } {
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
    const mends = new Set(error.faults.map(({ mend }) => mend));
    const more = error.hints.filter((text) => !mends.has(text)).map((text) => hint('  ', text));
    return `${heading} ${stripControl(error.summary)}\n${faults.join('')}${more.join('')}`;
  }
  return `${heading} ${stripControl(error.message)}\n${error.hints.map((text) => hint('  ', text)).join('')}`;
}
