import { readFile } from 'node:fs/promises';
import type { Plugin } from 'esbuild';

/** How TypeScript writes an import as CommonJS: the name, the helper that wraps it or nothing, the module. */
const IMPORT = /^const (\w+) = (?:(__import(?:Default|Star))\()?require\("([^"]+)"\)\)?;$/gmu;

const LAZY =
  'const $lazy = (load) => { let it; return new Proxy({}, { get: (_, key) => (it ??= load())[key] }); };\n';

/**
 * oclif requires all of itself at once, help and plugins included. In the executable each of its modules is loaded when
 * something of it is first used; what is used at once is loaded at once.
 */
export const lazyRequires: Plugin = {
  name: 'lazy-requires',
  setup(build) {
    build.onLoad({ filter: /node_modules\/@oclif\/core\/lib\/.*\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      const lazy = source.replaceAll(
        IMPORT,
        (_, name: string, helper: string | undefined, module: string) => {
          const load = `require("${module}")`;
          return `const ${name} = $lazy(() => ${helper === undefined ? load : `${helper}(${load})`});`;
        },
      );
      return { contents: lazy === source ? source : LAZY + lazy, loader: 'js' };
    });
  },
};
