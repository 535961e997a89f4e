import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { registerImage } from '../support/boot-files.ts';
import { test } from '../support/fixtures.ts';

/** Tells every module that is loaded, whoever asks for it. */
const WATCH = `
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
registerHooks({
  load(url, context, next) {
    appendFileSync(process.env.MODULES_LOADED, url + '\\n');
    return next(url, context);
  },
});
`;
/** What a list has no use for, and what its database has had already. */
const TOO_MUCH = /\/(?:listr2|zx|proper-lockfile|smol-toml)\/|\/migrations\/|\/migrate\./u;
/** So many now, half of them of the query builder; more may be right, but not by accident. */
const MOST = 450;

test('image list loads what it needs', async ({ makeHome }) => {
  const home = await makeHome(inject('testRun').user);
  await registerImage(home, 'one');
  const watch = await home.write('watch.mjs', WATCH);
  const loaded = await home.write('loaded', '');
  const { program } = inject('testRun');
  const node = join(program, 'node_modules/node/bin/node');
  await home.ok(['image', 'list'], {
    env: { MODULES_LOADED: loaded, NODE_OPTIONS: `--import ${watch}` },
    under: ['env'],
  });
  const modules = readFileSync(loaded, 'utf8').trim().split('\n');
  expect(
    modules.some((url) => url.endsWith('dist/lib/image/list.js')),
    node,
  ).toBe(true);
  expect(modules.filter((url) => TOO_MUCH.test(url))).toEqual([]);
  expect(modules.filter((url) => !url.startsWith('node:')).length).toBeLessThan(MOST);
});
