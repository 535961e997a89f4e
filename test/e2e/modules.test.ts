import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, inject } from 'vitest';
import { registerImage } from '../support/boot-files.ts';
import { test } from '../support/fixtures.ts';
import { REPOSITORY } from '../support/program.ts';

/** Tells every file that is loaded, whoever asks for it. */
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
const MOST = 420;

/** Which modules each file of the bundle is made of. */
function modulesOfFiles(): Map<string, string[]> {
  const outputs = JSON.parse(readFileSync(join(REPOSITORY, '.cache/bundle.json'), 'utf8')) as Record<
    string,
    { inputs: Record<string, { bytesInOutput: number }> }
  >;
  return new Map(
    Object.entries(outputs).map(([path, { inputs }]) => [
      basename(path),
      // Of a module that was left out for want of a use nothing but its name is there.
      Object.keys(inputs).filter((module) => (inputs[module]?.bytesInOutput ?? 0) > 0),
    ]),
  );
}

test('image list loads what it needs', async ({ makeHome }) => {
  const home = await makeHome(inject('testRun').user);
  await registerImage(home, 'one');
  const watch = await home.write('watch.mjs', WATCH);
  const loaded = await home.write('loaded', '');
  await home.ok(['image', 'list'], {
    env: { MODULES_LOADED: loaded, NODE_OPTIONS: `--import ${watch}` },
    under: ['env'],
  });
  const ofFiles = modulesOfFiles();
  const urls = readFileSync(loaded, 'utf8').trim().split('\n');
  const modules = urls
    .filter((url) => !url.startsWith('node:'))
    .flatMap((url) => ofFiles.get(basename(url)) ?? [url]);
  expect(modules).toEqual(
    expect.arrayContaining([
      'src/main.ts',
      'src/lib/image/list.ts',
      expect.stringMatching(/\/better-sqlite3\/lib\/database\.js$/u),
    ]),
  );
  expect(modules.filter((module) => TOO_MUCH.test(module))).toEqual([]);
  expect(modules.length).toBeLessThan(MOST);
});
