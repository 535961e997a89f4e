import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { REPOSITORY } from '../house/tracked-files.ts';
import { makeBase } from '../support/builds.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';

const { user, root } = inject('testRun');

/** The blocks of a language in docs/automation.md. */
async function blocks(language: string): Promise<string[]> {
  const text = await readFile(join(REPOSITORY, 'docs/automation.md'), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gmu'))].map(
    ([, block]) => block ?? '',
  );
}

/** Runs a command as cron does: hardly an environment, no terminal; on a base that needs no network. */
async function runAsCron(
  home: Home,
  command: string,
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const [program, args] = home.commandLine([]);
  const bin = join(home.directory, 'bin');
  await home.write('bin/banger', `#!/bin/sh\nexec ${[program, ...args].join(' ')} "$@"\n`, 0o755);
  const here = command
    .replaceAll('/usr/local/bin/banger', 'banger')
    .replaceAll('--from-image debian-base --package nginx', '--from-image base');
  expect(here).not.toBe(command);
  const { uid, gid } = home.account;
  const identity = root ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'] : [];
  const environment = [`HOME=${home.directory}`, 'SHELL=/bin/sh', `PATH=${bin}:/usr/bin:/bin`];
  return run('env', ['-i', ...environment, ...identity, '/bin/sh', '-c', here], {
    cwd: home.directory,
    okExit: 'any',
  });
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
