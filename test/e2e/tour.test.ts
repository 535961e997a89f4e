import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, inject } from 'vitest';
import { testAccounts } from '../support/cli.ts';
import { DEBIAN_TIMEOUT_MS, registerDebian } from '../support/debian.ts';
import { test } from '../support/fixtures.ts';
import { startProgramOnTerminal } from '../support/terminal.ts';

const README = readFileSync(resolve(import.meta.dirname, '../../README.md'), 'utf8');

/** The lines that a newcomer pastes. */
function tour(): string {
  const [, script] =
    /<!-- tour:[^\n]*-->\n```sh\n([\s\S]*?)```\n<!-- end of the tour -->/u.exec(README) ?? [];
  if (script === undefined) throw new Error('README.md has no tour');
  return script;
}

test('every line of the tour works when it is pasted into a shell', {
  timeout: DEBIAN_TIMEOUT_MS + 120_000,
}, async ({ makeHome }) => {
  const [account] = testAccounts();
  if (!account) throw new Error('nobody to take the tour');
  const home = await makeHome(account);
  await registerDebian(home);
  const shell = startProgramOnTerminal(home, 'bash', ['--norc', '--noprofile', '-i'], {
    cwd: inject('testRun').program,
    env: { PS1: 'next> ' },
  });
  await shell.until(/next> /u);
  const lines = tour()
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
  for (const [index, line] of lines.entries()) {
    shell.type(`${line}; echo "line ${index} gave $?"\n`);
    await shell.until(new RegExp(`^line ${index} gave \\d+`, 'mu'), 120_000);
    expect(shell.text(), line).toMatch(new RegExp(`^line ${index} gave 0\\b`, 'mu'));
  }
  shell.type('exit\n');
  expect(await shell.exited).toBe(0);
  expect(lines.length).toBeGreaterThan(5);
});
