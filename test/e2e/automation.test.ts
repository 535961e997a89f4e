import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { parse } from 'yaml';
import type { ProcessResult } from '../../src/lib/system/process.ts';
import { REPOSITORY } from '../house/tracked-files.ts';
import { makeBase } from '../support/builds.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { fakeBzImage } from '../support/images.ts';
import { runAsOwner } from '../support/run-as-owner.ts';
import { assertSound } from '../support/verifier.ts';

const { user } = inject('testRun');

/** The blocks of a language in docs/automation.md. */
async function blocks(language: string): Promise<string[]> {
  const text = await readFile(join(REPOSITORY, 'docs/automation.md'), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gmu'))].map(
    ([, block]) => block ?? '',
  );
}

/** Runs a command as cron does, on a base that needs no network. */
async function runAsCron(home: Home, command: string): Promise<ProcessResult> {
  const here = command
    .replaceAll('/usr/local/bin/banger', 'banger')
    .replaceAll('--from-image debian-base --package nginx', '--from-image base');
  expect(here).not.toBe(command);
  return runAsOwner(home, here, { shell: ['/bin/sh'] });
}

test('the crontab line builds, leaves a young image alone, and says nothing', async ({ makeHome }) => {
  const home = await makeHome(user);
  await makeBase(home);
  const [crontab = ''] = await blocks('crontab');
  const [, command = ''] = /^\d+ \d+ \* \* \d {2}(.*)$/mu.exec(crontab) ?? [];
  for (const generations of [1, 1]) {
    expect(await runAsCron(home, command)).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect((await home.json<unknown[]>(['image', 'history', 'web'])).document).toHaveLength(generations);
  }
  expect((await runAsCron(home, command.replace('image build web', 'image build Web'))).stderr).toContain(
    "error: 'Web' is not a valid image name",
  );
});

test('so do the commands of the service', async ({ makeHome }) => {
  const home = await makeHome(user);
  await makeBase(home);
  const [service = ''] = await blocks('ini');
  const commands = [...service.matchAll(/^ExecStart=(.*)$/gmu)].map(([, command]) => command ?? '');
  expect(commands).toHaveLength(2);
  const [build = '', prune = ''] = commands;
  expect(await runAsCron(home, `${build} && ${prune.replace('/usr/local/bin/', '')}`)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^built web .*\nnothing to prune\n$/u),
  });
});

/** Lines that a CI runs in a shell of their own, with variables of theirs. */
interface Part {
  lines: string;
  env: Record<string, string>;
  /** Even after a failure. */
  always: boolean;
}

interface GitHubWorkflow {
  jobs: Record<
    string,
    {
      env: Record<string, string>;
      steps: { run?: string; env?: Record<string, string>; if?: string }[];
    }
  >;
}

type GitLabPipeline = Record<
  string,
  { variables: Record<string, string>; before_script: string[]; script: string[]; after_script: string[] }
>;

function partsOfGitHub(yaml: string): Part[] {
  const { web } = (parse(yaml) as GitHubWorkflow).jobs;
  if (web === undefined) throw new Error('there is no job web');
  return web.steps.flatMap(({ run: lines, env = {}, if: condition }) =>
    lines === undefined ? [] : [{ lines, env: { ...web.env, ...env }, always: condition === 'always()' }],
  );
}

/** before_script and script run in one shell (GitLab, CI/CD YAML syntax reference). */
function partsOfGitLab(yaml: string): Part[] {
  const { 'image-web': job } = parse(yaml) as GitLabPipeline;
  if (job === undefined) throw new Error('there is no job image-web');
  const env = { ...job.variables, APP_TOKEN: '$APP_TOKEN' };
  return [
    { lines: [...job.before_script, ...job.script].join('\n'), env, always: false },
    { lines: job.after_script.join('\n'), env, always: true },
  ];
}

const TOKEN = 'a-token-of-the-ci';

/** Carries out a job on a machine that has nothing but the checkout and what was packed; its status is that of its first failure. */
async function runJob(home: Home, parts: readonly Part[]): Promise<number> {
  const kept = join(home.directory, 'kept');
  await rm(kept, { recursive: true, force: true });
  for (const name of ['build.log', 'image.json']) await rm(join(home.directory, name), { force: true });
  const kernel = await home.write('vmlinuz', fakeBzImage());
  const here = (text: string): string =>
    text
      .replaceAll('/var/tmp/image-web', kept)
      .replaceAll(
        'image bootstrap debian-base',
        `image bootstrap debian-base --flavor busybox --kernel ${kernel}`,
      )
      .replaceAll(/\$\{\{ secrets\.APP_TOKEN \}\}|^\$APP_TOKEN$/gu, TOKEN);
  let status = 0;
  for (const { lines, env, always } of parts) {
    if (status !== 0 && !always) continue;
    const own = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, here(value)]));
    const { exitCode, stdout, stderr } = await runAsOwner(home, here(lines), {
      shell: ['bash', '--noprofile', '--norc', '-eo', 'pipefail'],
      env: { ...own, GITHUB_OUTPUT: join(home.directory, 'outputs') },
    });
    expect(stdout + stderr).not.toContain(TOKEN);
    if (always) expect({ exitCode, said: exitCode === 0 ? '' : stderr }).toEqual({ exitCode: 0, said: '' });
    if (status === 0) status = exitCode;
  }
  await assertSound(join(kept, 'state'), { uid: home.account.uid });
  return status;
}

interface JobResult {
  outcome: string;
  steps: { title: string; cached: boolean }[];
  error: { exit_code: number };
}

test.for([
  ['GitHub Actions', 0, partsOfGitHub],
  ['GitLab CI', 1, partsOfGitLab],
] as const)(
  'the job of %s builds what has changed, on what the last one has kept',
  { timeout: 120_000 },
  async ([, index, partsOf], { makeHome }) => {
    const parts = partsOf((await blocks('yaml'))[index] ?? '');
    const home = await makeHome(user);
    const result = async (): Promise<JobResult> =>
      JSON.parse(await readFile(join(home.directory, 'image.json'), 'utf8')) as JobResult;
    const [recipe = ''] = await blocks('dockerfile');
    await home.write('image/Containerfile', recipe);
    const install = `#!/bin/sh\nset -e\nsleep 2\n[ "$TOKEN" = ${TOKEN} ]\n`;
    await home.write('image/app/install.sh', install, 0o755);
    await home.write('image/settings/one', '1');

    expect(await runJob(home, parts)).toBe(0);
    expect(await result()).toMatchObject({ outcome: 'built' });
    expect(await readFile(join(home.directory, 'build.log'), 'utf8')).toContain('[0 2/3]: status 0');
    expect(await runJob(home, parts)).toBe(0);
    expect(await result()).toMatchObject({ outcome: 'fresh' });
    expect(existsSync(join(home.directory, 'build.log'))).toBe(false);

    await home.write('image/settings/one', '2');
    expect(await runJob(home, parts)).toBe(0);
    const { outcome, steps } = await result();
    expect(outcome).toBe('built');
    expect(steps.find(({ title }) => title.startsWith('RUN '))).toMatchObject({ cached: true });

    await home.write('image/app/install.sh', `${install}exit 3\n`, 0o755);
    expect(await runJob(home, parts)).toBe(8);
    expect((await result()).error.exit_code).toBe(8);
    expect(await readFile(join(home.directory, 'build.log'), 'utf8')).toContain('[0 2/3]: status 3');
    await home.write('image/app/install.sh', install, 0o755);
    expect(await runJob(home, parts)).toBe(0);
  },
);
