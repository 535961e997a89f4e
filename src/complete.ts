import { complete, type KnownCommand } from './lib/completion/complete.ts';
import { loadConfig } from './lib/config.ts';
import { layoutOf } from './lib/layout.ts';
import { print } from './lib/output.ts';
import type { Named } from './lib/store/names.ts';

/**
 * Answers a shell: what to do about files on the first line, then a word a line. Nothing that goes wrong is an error
 * here: whoever presses Tab wants words, or none.
 */
export async function answerShell(
  words: readonly string[],
  commands: Readonly<Record<string, KnownCommand>>,
): Promise<void> {
  const stateDir = flagValue('--state-dir', words);
  let names: (named: Named) => string[] = () => [];
  try {
    const config = await loadConfig({ stateDir });
    const { readNames } = await import('./lib/store/names.ts');
    names = (named) => readNames(layoutOf(config.stateDir), named);
  } catch {
    // A configuration that cannot be read leaves what is known without it.
  }
  const { words: found, files } = complete(words, commands, (named) => {
    try {
      return names(named);
    } catch {
      return [];
    }
  });
  print(`:${files === 'all' ? 'files' : files}\n${found.map((word) => `${word}\n`).join('')}`);
}

function flagValue(flag: string, words: readonly string[]): string | undefined {
  const given = words.find((word) => word.startsWith(`${flag}=`));
  if (given !== undefined) return given.slice(flag.length + 1) || undefined;
  const index = words.indexOf(flag);
  return index === -1 ? undefined : words[index + 1] || undefined;
}
