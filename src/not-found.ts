import { COMMANDS } from './index.ts';
import { BangerError } from './lib/errors.ts';
import { nearestTo } from './lib/nearest.ts';

/** For words that are no command, with the commands they may have been meant to be. */
export function noSuchCommand(id: string): BangerError {
  const commands = Object.keys(COMMANDS).map((command) => command.split(':'));
  const [topic = '', word] = id.split(':');
  // What stands right before the mistake must not make all that share it look near.
  const inTopic = commands.filter(([name]) => name === topic).flatMap(([, name]) => name ?? []);
  const nearest =
    word !== undefined && inTopic.length > 0
      ? nearestTo(word, inTopic).map((name) => `${topic} ${name}`)
      : nearestTo(id.replaceAll(':', ' '), [
          ...new Set(commands.flatMap(([name = '', ...rest]) => [name, [name, ...rest].join(' ')])),
        ]);
  return new BangerError('usage', `there is no command '${id.replaceAll(':', ' ')}'`, {
    hints: [
      ...nearest.map((name) => `did you mean: banger ${name}`),
      inTopic.length > 0 ? `banger ${topic} --help` : 'banger --help',
    ],
  });
}
