import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { shellWord } from '../../src/lib/text.ts';
import { registerImage } from '../support/boot-files.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { startProgramOnTerminal } from '../support/terminal.ts';

/** A `banger` on the PATH, as a shell wants one, and what it prints for that shell. */
async function install(home: Home, shell: string): Promise<{ env: Record<string, string>; script: string }> {
  const bin = join(home.directory, 'bin');
  const { uid, gid } = home.account;
  await mkdir(bin);
  const [file, args] = home.commandLine([]);
  await writeFile(join(bin, 'banger'), `#!/bin/sh\nexec ${[file, ...args].map(shellWord).join(' ')} "$@"\n`);
  await chmod(join(bin, 'banger'), 0o755);
  const script = join(bin, `completion.${shell}`);
  await writeFile(script, await home.ok(['completion', shell]));
  for (const path of [bin, join(bin, 'banger'), script]) await chown(path, uid, gid);
  return { env: { PATH: `${bin}:/usr/bin:/bin` }, script };
}

async function say(home: Home, env: Record<string, string>, argv: readonly string[]): Promise<string> {
  const { uid, gid } = home.account;
  const identity =
    process.getuid?.() === 0 ? ['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups'] : [];
  const variables = Object.entries({ HOME: home.directory, ...env }).map(
    ([name, value]) => `${name}=${value}`,
  );
  const [file = '', ...args] = [...identity, 'env', '-i', ...variables, ...argv];
  return (await run(file, args, { cwd: home.directory })).stdout;
}

describe('completion', () => {
  const { user } = inject('testRun');

  test('in bash', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { env, script } = await install(home, 'bash');
    await home.write('disk.ext4', '');
    const lines = ['image de', 'image build x --preset=', 'image show ', 'image register x --rootfs di'];
    const ask = lines.map((line) => `ask 'banger ${line}'`).join('; ');
    const program = `. ${script}; compopt() { :; }; ask() { COMP_LINE=$1 COMP_POINT=\${#1}; _banger; echo "\${COMPREPLY[*]}"; }; ${ask}`;
    const before = await say(home, env, ['bash', '--norc', '-c', program]);
    expect(before).toBe('delete\ndebian none\n\ndisk.ext4\n');
    for (const name of ['one', 'two']) await registerImage(home, name);
    expect(await say(home, env, ['bash', '--norc', '-c', program])).toBe(
      'delete\ndebian none\none two\ndisk.ext4\n',
    );
  });

  test('in fish', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { env, script } = await install(home, 'fish');
    const ask = (line: string): Promise<string> =>
      say(home, env, ['fish', '--no-config', '-c', `source ${script}; complete -C '${line}'`]);
    expect(await ask('banger image re')).toBe('register\nrename\n');
    expect(await ask('banger image show ')).toBe('');
    await registerImage(home, 'one');
    expect(await ask('banger image show ')).toBe('one\n');
    await home.write('disk.ext4', '');
    expect(await ask('banger image register x --rootfs di')).toBe('disk.ext4\n');
  });

  test('in zsh, at a terminal', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { env, script } = await install(home, 'zsh');
    await registerImage(home, 'somewhat');
    const zsh = startProgramOnTerminal(home, 'zsh', ['-f'], { env });
    zsh.type(`PS1='ready> '; autoload -Uz compinit; compinit -D -u; source ${script}\r`);
    zsh.type("print 'now'' 'begin\r");
    await zsh.until(/now begin/u);
    zsh.type('banger ima\tsho\tsome\t');
    await zsh.until(/banger.*image.*show.*somewhat/u);
    zsh.type('\x15banger image list --so\t');
    await zsh.until(/banger.*image.*list.*--sort/u);
    zsh.type('\x15exit\r');
    expect(await zsh.exited).toBe(0);
  });

  test('of nothing that can be read is nothing, and no error', async ({ makeHome }) => {
    const home = await makeHome(user);
    const ask = ['__complete', 'image', 'show', ''];
    const nothing = { status: 0, stdout: ':none\n', stderr: '' };
    expect(await home.run(ask)).toEqual(nothing);
    expect(await home.run(ask, { env: { BANGER_CONFIG: '/nonexistent' } })).toEqual(nothing);
    expect(await home.run(ask, { env: { BANGER_STATE_DIR: '/dev/null' } })).toEqual(nothing);
    const file = await home.write('elsewhere/banger.db', 'not a database');
    const elsewhere = join(file, '..');
    expect(await home.run(['__complete', 'image', 'show', '--state-dir', elsewhere, ''])).toEqual(nothing);
    expect(await home.fails(2, ['completion', 'tcsh'])).toContain('tcsh');
  });
});
