import { moduleOfFile } from './module-info.ts';

/** The modules that a `modules.builtin` names, a file a line (Linux, Documentation/kbuild/kbuild.rst). */
export function builtinModules(content: string): ReadonlySet<string> {
  return new Set(content.split('\n').flatMap((line) => moduleOfFile(line.trim()) ?? []));
}
