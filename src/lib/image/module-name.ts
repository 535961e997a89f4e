/** Debian's has 5 KB, an all-built-in one's some 100, in bytes. */
export const MAX_BUILTIN_BYTES = 1024 * 1024;

/** As kmod has it: compressed or not, and a dash is an underscore (modprobe(8)). */
const MODULE = /(?:^|\/)([^/]+)\.ko(?:\.(?:gz|xz|zst))?$/u;

/** The module that a file is, by its name; null of another file. */
export function moduleOf(file: string): string | null {
  return MODULE.exec(file)?.[1]?.replaceAll('-', '_') ?? null;
}

/** The modules that a `modules.builtin` names, a file a line (Linux, Documentation/kbuild/kbuild.rst). */
export function builtinModules(content: Buffer): ReadonlySet<string> {
  return new Set(
    content
      .toString('latin1')
      .split('\n')
      .flatMap((line) => moduleOf(line.trim()) ?? []),
  );
}
