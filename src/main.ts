import { COMMANDS } from './index.ts';
import type { KnownCommand } from './lib/completion/complete.ts';
import { errorDocument, errorText, toBangerError } from './lib/error-report.ts';
import { BangerError, messageOf } from './lib/errors.ts';
import type { ProgramData } from './oclif-config.ts';

/** What a write says when its reader has left: `| head`, or a terminal that was closed. */
const READER_LEFT = new Set(['EPIPE', 'EIO', 'ECONNRESET']);
const HELP_FLAGS = new Set(['--help', '-h']);
const VERSION_FLAGS = new Set(['--version', '-v']);

/** The whole program: finds the command, runs it, and turns what it throws into an exit code. */
export async function main(data: ProgramData): Promise<void> {
  watchOutput();
  const argv = argvOf(process.argv.slice(2));
  try {
    await dispatch(argv, data);
  } catch (thrown) {
    const error = toBangerError(thrown);
    process.exitCode = error.exitCode;
    if (argv.includes('--json')) process.stdout.write(errorDocument(error));
    else process.stderr.write(errorText(error, process.stderr));
  }
}

async function dispatch(argv: string[], data: ProgramData): Promise<void> {
  const { name, version } = data.pjson;
  if (VERSION_FLAGS.has(argv[0] ?? '')) {
    process.stdout.write(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
    return;
  }
  if (argv[0] === '__complete') {
    const { answerShell } = await import('./complete.ts');
    await answerShell(argv.slice(1), data.manifest.commands as Readonly<Record<string, KnownCommand>>);
    return;
  }
  const { id, rest } = commandOf(argv);
  const load = COMMANDS[id];
  const end = argv.indexOf('--');
  if (argv.slice(0, end === -1 ? undefined : end).some((word) => HELP_FLAGS.has(word)) || isTopic(id)) {
    const { showHelp } = await import('./oclif-config.ts');
    watchOutput();
    await showHelp(data, argv);
    return;
  }
  if (load === undefined) {
    const { noSuchCommand } = await import('./not-found.ts');
    throw noSuchCommand(id);
  }
  const [{ default: command }, { configOfCommands }] = await Promise.all([
    load(),
    import('./oclif-config.ts'),
  ]);
  watchOutput();
  command.id = id;
  await command.start(rest, configOfCommands(data));
}

/** The longest beginning of the words that is a command, else all of them; oclif separates them with colons. */
function commandOf(argv: readonly string[]): { id: string; rest: string[] } {
  const flag = argv.findIndex((word) => word.startsWith('-'));
  const words = flag === -1 ? [...argv] : argv.slice(0, flag);
  for (let count = words.length; count > 0; count -= 1) {
    const id = words.slice(0, count).join(':');
    if (Object.hasOwn(COMMANDS, id)) return { id, rest: argv.slice(count) };
  }
  return { id: words.join(':'), rest: argv.slice(words.length) };
}

/** `image`, or nothing at all: what is below it is shown. */
function isTopic(id: string): boolean {
  return id === '' || Object.keys(COMMANDS).some((command) => command.startsWith(`${id}:`));
}

/** A reader that has left ends the output, not the work; output that is lost otherwise is a failure. */
function watchOutput(): void {
  // Once more after oclif is loaded: its own listener throws, and a clean-up would not come to its end.
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
