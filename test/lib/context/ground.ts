import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test as base } from 'vitest';
import { type Context, openContext, type SelectOptions } from '../../../src/lib/context/context.ts';
import { fsPath } from '../../../src/lib/system/file-name.ts';

/** A context of a test, and a cache for it. */
export interface Ground {
  /** The context's directory. */
  root: string;
  cacheDir: string;
  /** The path of a file in the context. */
  at(path: string): string;
  /** Files by their paths in the context; a path that ends in `/` is an empty directory. */
  write(files: Record<string, string>): void;
  open(options?: { recipePath?: string; signal?: AbortSignal }): Context;
  /** Does something as somebody else, where this is root. */
  asUser(work: () => Promise<void>): Promise<void>;
  /** The paths of what sources name, in their order. */
  select(sources: readonly string[], options?: SelectOptions): Promise<string[]>;
}

export const NOBODY = 65534;

export const test = base.extend<{ ground: Ground }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures this one wants
  ground: async ({}, use) => {
    const parent = mkdtempSync(join(tmpdir(), 'banger-context-'));
    const root = join(parent, 'context');
    const cacheDir = join(parent, 'cache');
    mkdirSync(root);
    const at = (path: string): string => `${root}/${path}`;
    const open: Ground['open'] = ({ recipePath, signal = new AbortController().signal } = {}) =>
      openContext({ directory: root, recipePath, cacheDir, signal });
    await use({
      root,
      cacheDir,
      at,
      open,
      write(files) {
        for (const [path, content] of Object.entries(files)) {
          mkdirSync(fsPath(path.endsWith('/') ? at(path) : dirname(at(path))), { recursive: true });
          if (!path.endsWith('/')) writeFileSync(fsPath(at(path)), content);
        }
      },
      async asUser(work) {
        if (process.geteuid?.() !== 0) return work();
        chmodSync(parent, 0o755);
        process.seteuid?.(NOBODY);
        try {
          await work();
        } finally {
          process.seteuid?.(0);
        }
      },
      async select(sources, options) {
        const { entries } = await open().resolve(sources, options);
        return entries.map(({ path }) => path);
      },
    });
    // It gets deeper than a path can be, which rmSync does not.
    execFileSync('rm', ['-rf', parent]);
  },
});

/** What is thrown. */
export async function errorOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  return 'nothing was thrown';
}

/** Makes directories within each other that are deeper than a path can be long. */
export function makeTooDeep(directory: string): void {
  const script = `for (let i = 0; i < 50; i++) { fs.mkdirSync('${'d'.repeat(100)}'); process.chdir('${'d'.repeat(100)}'); }`;
  execFileSync(process.execPath, ['-e', script], { cwd: directory });
}
