import { SORT_KEYS } from '../image/sort-keys.ts';
import type { Named } from '../store/names.ts';

/** As much of a flag, an argument and a command as completion wants; oclif.manifest.json has all of it. */
export interface KnownFlag {
  name: string;
  char?: string;
  type: string;
  options?: readonly string[];
  helpValue?: string | readonly string[];
  multiple?: boolean;
  hidden?: boolean;
}

export interface KnownCommand {
  flags: Readonly<Record<string, KnownFlag>>;
  args: Readonly<Record<string, { name: string; options?: readonly string[] }>>;
  strict?: boolean;
  hidden?: boolean;
}

/** What may stand where the cursor is: words, or files that the shell knows best. */
export interface Completion {
  words: string[];
  files: 'none' | 'all' | 'directories';
}

export type NamesOf = (named: Named) => string[];

/** Arguments that are images. */
const IMAGES = ['image', 'from', 'to'];
const NOTHING: Completion = { words: [], files: 'none' };

/**
 * Completes the last of `words` (those after the program's name; the last may be empty).
 * @param namesOf what is registered; asked only where a name may stand
 */
export function complete(
  words: readonly string[],
  commands: Readonly<Record<string, KnownCommand>>,
  namesOf: NamesOf,
): Completion {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? '';
  const { id, rest } = commandOf(before, commands);
  const command = id === null ? undefined : commands[id];
  if (command === undefined) return startingWith(nextWords(before, commands), current);
  const flags = Object.values(command.flags).filter(({ hidden }) => hidden !== true);
  if (!rest.includes('--')) {
    const waiting = flagWaiting(rest, flags);
    if (waiting) return valuesOf(waiting, current, namesOf);
    const [, name, value] = /^--([^=]+)=(.*)$/su.exec(current) ?? [];
    const assigned = flags.find((flag) => flag.name === name && flag.type === 'option');
    if (assigned && value !== undefined) {
      const { words: values, files } = valuesOf(assigned, value, namesOf);
      return { words: values.map((one) => `--${name}=${one}`), files };
    }
    if (current.startsWith('-')) {
      const used = new Set(rest);
      const free = flags.filter(({ name, multiple }) => multiple === true || !used.has(`--${name}`));
      return startingWith([...free.map(({ name }) => `--${name}`), '--help'].sort(), current);
    }
  }
  return argumentAt(countArguments(rest, flags), command, current, namesOf);
}

function startingWith(words: readonly string[], beginning: string): Completion {
  return { words: words.filter((word) => word.startsWith(beginning)), files: 'none' };
}

function commandOf(
  words: readonly string[],
  commands: Readonly<Record<string, KnownCommand>>,
): { id: string | null; rest: readonly string[] } {
  for (let count = words.length; count > 0; count -= 1) {
    const id = words.slice(0, count).join(':');
    if (Object.hasOwn(commands, id)) return { id, rest: words.slice(count) };
  }
  return { id: null, rest: words };
}

/** The next words of the commands that begin with these. */
function nextWords(before: readonly string[], commands: Readonly<Record<string, KnownCommand>>): string[] {
  const beginning = before.map((word) => `${word}:`).join('');
  const next = Object.entries(commands)
    .filter(([id, { hidden }]) => hidden !== true && id.startsWith(beginning))
    .map(([id]) => id.slice(beginning.length).split(':')[0] ?? '');
  return [...new Set(next)].sort();
}

/** The flag that the word under the cursor is the value of. */
function flagWaiting(rest: readonly string[], flags: readonly KnownFlag[]): KnownFlag | undefined {
  const last = rest.at(-1);
  return flags.find(
    ({ name, char, type }) =>
      type === 'option' && (last === `--${name}` || (char !== undefined && last === `-${char}`)),
  );
}

function valuesOf({ name, options, helpValue }: KnownFlag, current: string, namesOf: NamesOf): Completion {
  if (options !== undefined) return startingWith(options, current);
  if (name === 'sort') {
    return startingWith([...SORT_KEYS, ...SORT_KEYS.map((key) => `-${key}`)], current);
  }
  switch (helpValue) {
    case 'REF':
      return startingWith(namesOf('images'), current);
    case 'FILE':
    case 'SRC:DEST':
      return { words: [], files: 'all' };
    case 'DIR':
      return { words: [], files: 'directories' };
    default:
      return NOTHING;
  }
}

function countArguments(rest: readonly string[], flags: readonly KnownFlag[]): number {
  return rest.filter(
    (word, index) => !word.startsWith('-') && flagWaiting(rest.slice(0, index), flags) === undefined,
  ).length;
}

function argumentAt(
  index: number,
  { args, strict }: KnownCommand,
  current: string,
  namesOf: NamesOf,
): Completion {
  const known = Object.values(args);
  const arg = known[index] ?? (strict === false ? known.at(-1) : undefined);
  if (arg?.options !== undefined) return startingWith(arg.options, current);
  if (arg !== undefined && IMAGES.includes(arg.name)) return startingWith(namesOf('images'), current);
  if (arg?.name === 'vm') return startingWith(namesOf('vms'), current);
  if (arg?.name === 'operation') return startingWith(namesOf('operations'), current);
  return NOTHING;
}
