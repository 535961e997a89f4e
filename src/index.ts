import type { CommandClass } from './lib/command.ts';

/** Every command by its id, loaded when it is run. A test compares this table with the files in commands/. */
export const COMMANDS: Readonly<Record<string, () => Promise<{ default: CommandClass }>>> = {
  check: () => import('./commands/check.ts'),
  completion: () => import('./commands/completion.ts'),
  doctor: () => import('./commands/doctor.ts'),
  'image:bootstrap': () => import('./commands/image/bootstrap.ts'),
  'image:build': () => import('./commands/image/build.ts'),
  'image:delete': () => import('./commands/image/delete.ts'),
  'image:diff': () => import('./commands/image/diff.ts'),
  'image:history': () => import('./commands/image/history.ts'),
  'image:list': () => import('./commands/image/list.ts'),
  'image:promote': () => import('./commands/image/promote.ts'),
  'image:protect': () => import('./commands/image/protect.ts'),
  'image:prune': () => import('./commands/image/prune.ts'),
  'image:register': () => import('./commands/image/register.ts'),
  'image:rename': () => import('./commands/image/rename.ts'),
  'image:rollback': () => import('./commands/image/rollback.ts'),
  'image:show': () => import('./commands/image/show.ts'),
  'image:unprotect': () => import('./commands/image/unprotect.ts'),
  'operation:cancel': () => import('./commands/operation/cancel.ts'),
  'operation:list': () => import('./commands/operation/list.ts'),
  'operation:show': () => import('./commands/operation/show.ts'),
  'trash:empty': () => import('./commands/trash/empty.ts'),
  'trash:list': () => import('./commands/trash/list.ts'),
  'trash:restore': () => import('./commands/trash/restore.ts'),
  version: () => import('./commands/version.ts'),
};
