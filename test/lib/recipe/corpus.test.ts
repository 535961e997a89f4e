import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { machinePlatform } from '../../../src/lib/recipe/predefined.ts';
import type { Recipe, Stage, Step } from '../../../src/lib/recipe/recipe.ts';
import { readText } from './read-text.ts';

const CORPUS = join(import.meta.dirname, 'corpus');
const FILES = readdirSync(CORPUS).sort();

/** What is given with some of the files. */
const GIVEN: Readonly<Record<string, Parameters<typeof readText>[1]>> = {
  '03-go-multistage': { buildArgs: { TARGETARCH: 'riscv64', VERSION: '1.2' } },
  '10-labels': { buildArgs: { REV: 'abc' } },
  '11-arg-before-from': { buildArgs: { RELEASE: '11', RELAESE: 'x' } },
  '16-users': { buildArgs: { UID: '77' } },
  '22-targets': { target: 'Test' },
  '23-proxies': { buildArgs: { HTTP_PROXY: 'http://p:1', no_proxy: 'localhost', APP_TOKEN: 't' } },
};

/** A recipe in as few lines as show all of it. */
function tell({ stages, labels, proxies, notes }: Recipe): string[] {
  return [
    ...stages.flatMap(tellStage),
    ...Object.entries(labels).map(([name, value]) => `label ${name}=${value}`),
    ...Object.entries(proxies).map(([name, value]) => `proxy ${name}=${value}`),
    ...notes.map((note) => `note ${note}`),
  ].map((line) => line.replaceAll(machinePlatform(), 'THIS/PLATFORM'));
}

function tellStage({ index, name, line, from, steps }: Stage): string[] {
  let before = '';
  const told = steps.flatMap((step) => {
    const env = step.kind === 'run' ? tellEnv(step.env, step.argNames) : before;
    const isNews = env !== before;
    before = env;
    return [...(isNews ? [`  env ${env}`] : []), `  ${tellStep(step)}`];
  });
  return [`${line}: stage ${index} ${name} from ${JSON.stringify(from)}`, ...told];
}

function tellEnv(env: Readonly<Record<string, string>>, argNames: readonly string[]): string {
  const names = Object.keys(env).sort();
  return names
    .map((name) => `${argNames.includes(name) ? 'arg ' : ''}${name}=${JSON.stringify(env[name])}`)
    .join(' ');
}

function tellStep(step: Step): string {
  switch (step.kind) {
    case 'workdir':
      return `${step.line}: workdir ${step.path} for ${step.user}`;
    case 'run': {
      const { line, argv, script, cwd, user, network, mounts } = step;
      const extra = [...(script ? [{ script }] : []), ...mounts].map((one) => `\n    ${JSON.stringify(one)}`);
      return `${line}: run ${JSON.stringify(argv)} in ${cwd} as ${user} network ${network}${extra.join('')}`;
    }
    case 'copy': {
      const { kind: _, line, title: __, from, sources, files, target, targetIsDirectory, ...flags } = step;
      const set = Object.entries(flags).filter(
        ([, value]) => value !== null && value !== false && `${value}` !== '',
      );
      const what = [...sources, ...files.map((file) => JSON.stringify(file))].join(' ');
      const where = `${target}${targetIsDirectory ? ' (directory)' : ''}`;
      return `${line}: copy ${what} from ${JSON.stringify(from)} to ${where} ${JSON.stringify(Object.fromEntries(set))}`;
    }
  }
}

describe('a recipe in the style of', () => {
  test('many kinds is there', () => {
    expect(FILES.length).toBeGreaterThanOrEqual(25);
    const names = FILES.map((file) => basename(file, '.Containerfile'));
    expect(Object.keys(GIVEN).filter((name) => !names.includes(name))).toEqual([]);
  });

  test.each(FILES.map((file) => basename(file, '.Containerfile')))('%s is evaluated', (name) => {
    const text = readFileSync(join(CORPUS, `${name}.Containerfile`), 'utf8');
    expect(`\n${tell(readText(text, GIVEN[name])).join('\n')}\n`).toMatchSnapshot();
  });
});
