import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseSync } from 'oxc-parser';
import { REPOSITORY } from './tracked-files.ts';

export interface Import {
  /** Path of the importing file, from the repository's root. */
  from: string;
  /** Path of the imported file in the same way, or the name of a package (`node:fs`, `@oclif/core`). */
  to: string;
}

/** Every import of one file, static, dynamic or of types alone. */
function importsOf(file: string): Import[] {
  const source = readFileSync(join(REPOSITORY, file), 'utf8');
  const { module, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  const specifiers = [
    ...module.staticImports.map((statement) => statement.moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap((entry) => entry.moduleRequest?.value ?? []),
    ),
    ...module.dynamicImports.map(({ moduleRequest: { start, end } }) => {
      const text = source.slice(start, end);
      if (!/^'[^']*'$/u.test(text))
        throw new Error(`${file}: import(${text}) names no module that can be checked`);
      return text.slice(1, -1);
    }),
  ];
  return specifiers.map((specifier) => ({ from: file, to: target(file, specifier) }));
}

function target(file: string, specifier: string): string {
  if (specifier.startsWith('.')) return relative(REPOSITORY, resolve(REPOSITORY, dirname(file), specifier));
  if (specifier.startsWith('node:')) return specifier;
  const [scope = '', name = ''] = specifier.split('/');
  return scope.startsWith('@') ? `${scope}/${name}` : scope;
}

export interface ModuleGraph {
  files: readonly string[];
  imports: readonly Import[];
}

export function readModuleGraph(pattern = 'src/**/*.ts'): ModuleGraph {
  const files = globSync(pattern, { cwd: REPOSITORY }).sort();
  return { files, imports: files.flatMap(importsOf) };
}

/** One cycle of imports, as the files along it, or undefined. Types count: a cycle of types ties files together too. */
export function findCycle({ files, imports }: ModuleGraph): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    const at = path.indexOf(file);
    if (at !== -1) return [...path.slice(at), file];
    if (done.has(file)) return undefined;
    for (const { to } of imports.filter(({ from }) => from === file)) {
      const cycle = visit(to, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of files) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}
