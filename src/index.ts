import type { Hook } from '@oclif/core';
import Check from './commands/check.ts';
import Doctor from './commands/doctor.ts';
import ImageBootstrap from './commands/image/bootstrap.ts';
import ImageBuild from './commands/image/build.ts';
import ImageDelete from './commands/image/delete.ts';
import ImageList from './commands/image/list.ts';
import ImagePromote from './commands/image/promote.ts';
import ImageRegister from './commands/image/register.ts';
import ImageRename from './commands/image/rename.ts';
import ImageShow from './commands/image/show.ts';
import OperationCancel from './commands/operation/cancel.ts';
import OperationList from './commands/operation/list.ts';
import OperationShow from './commands/operation/show.ts';
import { BangerError } from './lib/errors.ts';

/** Every command by its id. A test compares this table with the files in commands/. */
export const COMMANDS = {
  check: Check,
  doctor: Doctor,
  'image:bootstrap': ImageBootstrap,
  'image:build': ImageBuild,
  'image:delete': ImageDelete,
  'image:list': ImageList,
  'image:promote': ImagePromote,
  'image:register': ImageRegister,
  'image:rename': ImageRename,
  'image:show': ImageShow,
  'operation:cancel': OperationCancel,
  'operation:list': OperationList,
  'operation:show': OperationShow,
};

export const commandNotFound: Hook.CommandNotFound = async ({ id }) => {
  const { nearestTo } = await import('./lib/nearest.ts');
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
  throw new BangerError('usage', `there is no command '${id.replaceAll(':', ' ')}'`, {
    hints: [
      ...nearest.map((name) => `did you mean: banger ${name}`),
      inTopic.length > 0 ? `banger ${topic} --help` : 'banger --help',
    ],
  });
};
