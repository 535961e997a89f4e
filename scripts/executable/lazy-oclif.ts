import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import type { Plugin } from 'esbuild';

/** How TypeScript writes an import as CommonJS: the name, the helper that wraps it or nothing, the module. */
const IMPORT = /^const (\w+) = (?:(__import(?:Default|Star))\()?require\("(\.[^"]+)"\)\)?;$/gmu;
const LAZY =
  'const $lazy = (load) => { let it; return new Proxy({}, { get: (_, key) => (it ??= load())[key] }); };\n';
const CHUNK = 'oclif-chunk:';

/**
 * oclif requires all of itself at once, help and plugins included. In the executable each of its modules is a chunk by
 * itself, loaded when something of it is first used.
 */
export function lazyOclif(root: string): { entryPoints: Record<string, string>; plugin: Plugin } {
  const library = join(root, 'node_modules/@oclif/core/lib');
  const files = new Map(
    globSync('**/*.js', { cwd: library })
      .sort()
      .map((file) => [join(library, file), `oclif-${file.replaceAll('/', '-').replace(/\.js$/u, '')}`]),
  );
  const chunkOf = (from: string, module: string): string | undefined => {
    const path = resolve(dirname(from), module);
    return files.get(`${path}.js`) ?? files.get(join(path, 'index.js'));
  };
  const plugin: Plugin = {
    name: 'lazy-oclif',
    setup(build) {
      build.onResolve({ filter: /^oclif-chunk:/ }, ({ path }) => ({
        path: `./${path.slice(CHUNK.length)}.js`,
        external: true,
      }));
      build.onLoad({ filter: /node_modules\/@oclif\/core\/lib\/.*\.js$/ }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        const lazy = source.replaceAll(
          IMPORT,
          (all, name: string, helper: string | undefined, module: string) => {
            const chunk = chunkOf(path, module);
            if (chunk === undefined) throw new Error(`${relative(root, path)}: ${all}: no such module`);
            const load = `require("${CHUNK}${chunk}").default`;
            return `const ${name} = $lazy(() => ${helper === undefined ? load : `${helper}(${load})`});`;
          },
        );
        return { contents: lazy === source ? source : LAZY + lazy, loader: 'js' };
      });
    },
  };
  return { entryPoints: Object.fromEntries([...files].map(([path, chunk]) => [chunk, path])), plugin };
}
