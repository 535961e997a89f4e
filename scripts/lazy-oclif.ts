import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Plugin } from 'esbuild';

/** How TypeScript writes an import as CommonJS: the name, the helper that wraps it or nothing, the module. */
const IMPORT = /^(?:const|var) (\w+) = (?:(__import(?:Default|Star))\()?require\("([^"]+)"\)\)?;$/gmu;
const LAZY = `const $lazy = (load) => {
  let it;
  return new Proxy(() => {}, {
    get: (_, key) => (it ??= load())[key],
    apply: (_, self, args) => (it ??= load()).apply(self, args),
  });
};
`;
const LISTENER = /^process\.stdout\.on\('error', [\s\S]*?^\}\);$/mu;
const CHUNK = 'oclif-chunk:';

/** Each module of oclif by its path, and the chunk that it becomes. */
export function chunksOfOclif(root: string): Map<string, string> {
  const library = join(root, 'node_modules/@oclif/core/lib');
  return new Map(
    globSync('**/*.js', { cwd: library })
      .sort()
      .map((file) => [join(library, file), `oclif-${file.replaceAll('/', '-').replace(/\.js$/u, '')}`]),
  );
}

/**
 * oclif requires all of itself at once, help and plugins included, and what these require. In a bundle each module is
 * loaded when something of it is first used.
 *
 * Two things are taken out: its listener on standard output, which has Node make a stream that we do without, and its
 * trace for DEBUG=oclif, which loads Node's terminals and sockets.
 * @param chunks the chunk that a module is, where each is one by itself
 */
export function lazyOclif(chunks: ReadonlyMap<string, string> = new Map()): Plugin {
  const loaderOf = (from: string, module: string): string => {
    const path = resolve(dirname(from), module);
    const chunk = chunks.get(`${path}.js`) ?? chunks.get(join(path, 'index.js'));
    return chunk === undefined || !module.startsWith('.')
      ? `require("${module}")`
      : `require("${CHUNK}${chunk}").default`;
  };
  return {
    name: 'lazy-oclif',
    setup(build) {
      build.onResolve({ filter: /^oclif-chunk:/ }, ({ path }) => ({
        path: `./${path.slice(CHUNK.length)}.js`,
        external: true,
      }));
      build.onResolve({ filter: /^debug$/ }, () => ({ path: 'debug', namespace: 'no-trace' }));
      build.onLoad({ filter: /.*/, namespace: 'no-trace' }, () => ({
        contents: 'module.exports = () => () => {};',
      }));
      build.onLoad({ filter: /node_modules\/@oclif\/core\/lib\/.*\.js$/ }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        const quiet = source.replace(LISTENER, '');
        if (path.endsWith('/lib/command.js') && quiet === source)
          throw new Error(`${path}: no listener on standard output is left to take out`);
        const lazy = quiet.replaceAll(
          IMPORT,
          (_, name: string, helper: string | undefined, module: string) => {
            const load = loaderOf(path, module);
            return `const ${name} = $lazy(() => ${helper === undefined ? load : `${helper}(${load})`});`;
          },
        );
        return { contents: lazy === quiet ? quiet : LAZY + lazy, loader: 'js' };
      });
    },
  };
}
