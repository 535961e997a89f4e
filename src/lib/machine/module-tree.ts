import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BangerError, errnoOf } from '../errors.ts';
import { walkTree } from '../system/tree.ts';
import { oneLine } from '../text.ts';
import { builtinModules } from './builtin-modules.ts';
import { moduleName, moduleOfFile, readModule } from './module-info.ts';

/** A distribution's generic kernel has 4,000 modules. */
const MAX_FILES = 100_000;

/** The modules of one kernel: a directory as `/lib/modules/<version>`, with or without what depmod(8) adds. */
export class ModuleTree {
  readonly #directory: string;
  readonly #files: ReadonlyMap<string, string>;
  readonly #builtIn: ReadonlySet<string>;

  /** @throws BangerError `preflight_failed` for a directory that holds too much */
  static async open(directory: string): Promise<ModuleTree> {
    const files = new Map<string, string>();
    for await (const path of filesBelow(directory)) {
      const module = moduleOfFile(path);
      if (module !== null) files.set(module, path);
    }
    return new ModuleTree(directory, files, builtInOf(directory));
  }

  private constructor(directory: string, files: ReadonlyMap<string, string>, builtIn: ReadonlySet<string>) {
    this.#directory = directory;
    this.#files = files;
    this.#builtIn = builtIn;
  }

  /** Whether a driver is part of the kernel itself; false where the tree does not say. */
  isBuiltIn(name: string): boolean {
    return this.#builtIn.has(moduleName(name));
  }

  has(name: string): boolean {
    return this.#files.has(moduleName(name));
  }

  /**
   * Modules with all that they depend on, in the order in which they are to be loaded. What is built in, or is not there at
   * all, is left out.
   * @throws BangerError `preflight_failed` for a module that cannot be read, or that depends on one that is not there
   */
  async closureOf(names: readonly string[]): Promise<{ name: string; content: Buffer }[]> {
    const found = new Map<string, { name: string; content: Buffer }>();
    const visiting = new Set<string>();
    const visit = async (name: string): Promise<void> => {
      const path = this.#files.get(name);
      if (path === undefined || found.has(name) || visiting.has(name)) return;
      visiting.add(name);
      const { content, depends } = await readModule(path);
      for (const dependency of depends) {
        if (!this.has(dependency) && !this.isBuiltIn(dependency)) {
          const message = `${oneLine(this.#directory)} has no ${dependency}, which ${name} depends on`;
          throw new BangerError('preflight_failed', message);
        }
        await visit(dependency);
      }
      found.set(name, { name, content });
    };
    for (const name of names) await visit(moduleName(name));
    return [...found.values()];
  }
}

async function* filesBelow(directory: string): AsyncGenerator<string> {
  let count = 0;
  for await (const { path, stats } of walkTree(directory)) {
    count += 1;
    if (count > MAX_FILES)
      throw new BangerError('preflight_failed', `${oneLine(directory)} holds more than ${MAX_FILES} files`);
    if (stats.isFile()) yield path;
  }
}

/** Nothing where the tree does not say. */
function builtInOf(directory: string): ReadonlySet<string> {
  try {
    return builtinModules(readFileSync(join(directory, 'modules.builtin'), 'utf8'));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return new Set();
    throw error;
  }
}
