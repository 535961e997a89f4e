import { expect, inject } from 'vitest';
import { COMMANDS } from '../../src/index.ts';
import { test } from '../support/fixtures.ts';

const TOPICS = ['', 'image', 'operation'];
const ids = [...TOPICS, ...Object.keys(COMMANDS)];

/** The version changes, and so do the machine's name and Node's. */
function withoutVersion(help: string): string {
  return help.replace(/^ {2}banger\/.*$/mu, '  banger/VERSION').replace(/[ \t]+$/gmu, '');
}

test.for(ids)("the help of '%s' is as agreed", async (id, { makeHome }) => {
  const home = await makeHome(inject('testRun').user);
  const words = id.split(':').filter((word) => word !== '');
  const help = await home.ok([...words, '--help'], { env: { COLUMNS: '80' } });
  expect(withoutVersion(help)).toMatchSnapshot();
  // Examples stay on one line, to be pasted.
  const prose = help.split('\n').filter((line) => !line.startsWith('  $ banger'));
  for (const line of prose) expect(line.length, line).toBeLessThanOrEqual(80);
});
