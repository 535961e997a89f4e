import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { registerImage } from '../support/boot-files.ts';
import type { Home } from '../support/cli.ts';
import { holdTool, replaceTool, withTools } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { sql } from '../support/registry.ts';

interface Case {
  status: number;
  code: string;
  args: string[];
  env?: (home: Home) => Record<string, string>;
  prepare?: (home: Home) => Promise<void> | void;
}

const CASES: Case[] = [
  { status: 2, code: 'usage', args: ['image', 'list', '--colour'] },
  { status: 2, code: 'usage', args: ['image', 'lsit'] },
  { status: 2, code: 'usage', args: ['image', 'promote'] },
  { status: 2, code: 'usage', args: ['image', 'rename', 'one', 'No Name'] },
  { status: 3, code: 'not_found', args: ['image', 'promote', 'two'] },
  { status: 4, code: 'already_exists', args: ['image', 'rename', 'one', 'one'] },
  {
    status: 5,
    code: 'conflict',
    args: ['image', 'delete', 'one'],
    prepare: (home) => void sql(home, 'UPDATE images SET protected = 1'),
  },
  {
    status: 6,
    code: 'preflight_failed',
    args: ['image', 'register', 'two', '--rootfs', '.', '--kernel', '.'],
  },
  {
    status: 9,
    code: 'tool_failed',
    args: ['image', 'promote', 'one'],
    env: withTools,
    prepare: (home) =>
      replaceTool(home, 'cp', 'echo "cp: cannot open: \\033[31mInput/output error" >&2; exit 3'),
  },
  {
    status: 11,
    code: 'corrupt',
    args: ['image', 'list'],
    prepare: async (home) => void (await home.write('damaged/banger.db', 'no database'.repeat(1000))),
    env: (home) => ({ BANGER_STATE_DIR: join(home.directory, 'damaged') }),
  },
];

describe('the exit code', () => {
  const { user } = inject('testRun');

  test.for(CASES)(
    '$status ($code) is the same with --json',
    async ({ status, code, ...rest }, { makeHome }) => {
      const home = await makeHome(user);
      await registerImage(home, 'one');
      await rest.prepare?.(home);
      const options = { env: rest.env?.(home) ?? {} };
      const said = await home.fails(status, rest.args, options);
      expect(said).toMatch(/(^|\n)error: \S/u);
      expect(said).not.toMatch(/\u001b/u);
      const { document, ...inJson } = await home.json<{ error: Record<string, unknown> }>(rest.args, options);
      expect(inJson.status).toBe(status);
      expect(document).toEqual({
        error: expect.objectContaining({
          code,
          exit_code: status,
          message: expect.any(String),
          hints: expect.any(Array),
        }),
      });
    },
  );

  test('7 (busy) names who has the lock, after as long as is wanted', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const cp = await holdTool(home, 'cp');
    const promote = home.start(['image', 'promote', 'one'], { env: cp.env });
    await cp.called();
    sql(home, 'UPDATE lock SET run_id = (SELECT id FROM runs), acquired_at = ?', new Date().toISOString());
    const args = ['image', 'rename', 'one', 'two', '--lock-timeout'];
    expect(await home.fails(7, [...args, '0'])).toMatch(
      new RegExp(
        `^error: the lock was not free within 0 s: 'banger image promote one' has it \\(pid ${promote.pid} on \\S+, for [\\d.]+s\\)\n`,
        'u',
      ),
    );
    const before = performance.now();
    const { status, document } = await home.json<{ error: unknown }>([...args, '1']);
    expect({ status, document }).toMatchObject({
      status: 7,
      document: { error: { code: 'busy', exit_code: 7 } },
    });
    expect(performance.now() - before).toBeGreaterThan(1000);
    // Who only looks waits for nobody.
    expect(await home.ok(['image', 'list', '-q'])).toBe('one\n');
    sql(home, 'UPDATE lock SET run_id = NULL');
    await cp.release();
    expect((await promote.result).status).toBe(0);
  });

  test('is 0 for help and version', async ({ makeHome }) => {
    const home = await makeHome(user);
    const help = await home.ok(['image', 'list', '--help']);
    expect(await home.ok(['help', 'image', 'list'])).toBe(help);
    expect(await home.ok(['image', 'list', '-h'])).toBe(help);
    expect(await home.ok(['--version'])).toMatch(/^banger\/\d+\.\d+\.\d+ linux-/u);
  });
});
