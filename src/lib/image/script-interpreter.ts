import { closeSync, openSync, readSync } from 'node:fs';

/**
 * What runs a script: the interpreter of its first line, as execve(2) would, or `sh`. Named by us because a file that
 * is bound from a filesystem mounted noexec, or that has no x bit, could not be executed itself.
 */
export function interpreterOf(path: string): string[] {
  const head = Buffer.alloc(256);
  const file = openSync(path, 'r');
  try {
    const read = readSync(file, head, 0, head.length, 0);
    const [, interpreter, argument] =
      /^#![ \t]*(\S+)(?:[ \t]+([^\n]*?))?[ \t\r]*\n/u.exec(head.toString('utf8', 0, read)) ?? [];
    if (interpreter === undefined) return ['/bin/sh'];
    return argument ? [interpreter, argument] : [interpreter];
  } finally {
    closeSync(file);
  }
}
