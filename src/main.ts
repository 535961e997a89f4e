import { COMMANDS } from './index.ts';
import type { KnownCommand } from './lib/completion/complete.ts';
import { report, toBangerError } from './lib/error-report.ts';
import { print } from './lib/output.ts';
import type { ProgramData } from './oclif-config.ts';

const HELP_FLAGS = new Set(['--help', '-h']);
const VERSION_FLAGS = new Set(['--version', '-v']);

/** The whole program: finds the command, runs it, and turns what it throws into an exit code. */
export async function main(data: ProgramData): Promise<void> {
  const argv = argvOf(process.argv.slice(2));
  try {
    await dispatch(argv, data);
  } catch (thrown) {
    const error = toBangerError(thrown);
    process.exitCode = error.exitCode;
    report(error, argv.includes('--json'));
  }
}

async function dispatch(argv: string[], data: ProgramData): Promise<void> {
  const { name, version } = data.pjson;
  if (VERSION_FLAGS.has(argv[0] ?? '')) {
    print(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
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

/** `banger help image list` for whoever is used to it. */
function argvOf(argv: readonly string[]): string[] {
  return argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv];
}
