import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { buildArguments, journalOf, makeBase, until, untilPrinted } from '../support/builds.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { startOnTerminal } from '../support/terminal.ts';

/** Says that it is there, and ends well when it is told to end. */
const OBEDIENT = 'trap "exit 0" INT TERM HUP; echo "ready $((6*7))"; while :; do sleep 0.1; done';
/** Does not end when it is told to. */
const DEAF =
  'trap "" INT TERM HUP; (trap "" INT TERM HUP; sleep 1000) & echo "ready $((6*7))"; while :; do sleep 0.1; done';

describe.each(testAccounts())('as $label', (account) => {
  test('a signal cancels, whatever the step makes of it', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    for (const [signal, status, step] of [
      ['SIGHUP', 129, OBEDIENT],
      ['SIGINT', 130, DEAF],
      ['SIGTERM', 143, OBEDIENT],
    ] as const) {
      const name = signal.toLowerCase();
      const running = home.start([
        ...buildArguments(name, '--run', step),
        ...(signal === 'SIGINT' ? [] : ['--json']),
      ]);
      await untilPrinted(home, 'ready 42');
      running.kill(signal);
      const killedAt = Date.now();
      const result = await running.result;
      expect([signal, result.status]).toEqual([signal, status]);
      expect(Date.now() - killedAt).toBeLessThan(10_000);
      const { state, error, log_path: log, stage } = await journalOf(home, name);
      expect([state, error, stage]).toEqual(['cancelled', `cancelled by ${signal}`, 'launch_builder']);
      expect(readFileSync(log, 'utf8')).toMatch(new RegExp(`failed: cancelled by ${signal}\n$`, 'u'));
      if (signal === 'SIGINT') expect(result.stderr).toContain(`less ${log}`);
      else
        expect(JSON.parse(result.stdout)).toMatchObject({
          error: { code: 'cancelled', exit_code: status, signal, log_path: log },
        });
      await home.verify();
      expect(readdirSync(join(home.stateDir, 'images'))).toEqual([]);
      // The next one is waited for by what it prints itself.
      await clearLogs(home.stateDir);
    }
  });

  test('Ctrl-C on a terminal cancels', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const terminal = startOnTerminal(home, buildArguments('typed', '--run', DEAF));
    await terminal.until(/launch_builder/u);
    await terminal.until(/ready 42/u);
    terminal.type('\x03');
    expect(await terminal.exited).toBe(130);
    expect(terminal.output()).toMatch(/cancelled by SIGINT/u);
    // The cursor is shown again.
    expect(terminal.output().lastIndexOf('\x1b[?25h')).toBeGreaterThan(
      terminal.output().lastIndexOf('\x1b[?25l'),
    );
    expect((await journalOf(home, 'typed')).state).toBe('cancelled');
  });

  test('a second Ctrl-C leaves at once, and the next command cleans up', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    // A cp that does not care: cancelled, it is given three seconds.
    const cp = `#!/bin/sh\ntrap '' TERM INT HUP\necho >${home.directory}/copying\nexec sleep 60\n`;
    await home.write('deaf/cp', cp, 0o755);
    const env = { PATH: `${home.directory}/deaf:/usr/bin:/bin` };
    const terminal = startOnTerminal(home, buildArguments('impatient'), { env });
    await until('cp', () => readdirSync(home.directory).includes('copying'));
    terminal.type('\x03');
    // Within half a second it would be taken for an echo of the first.
    await sleep(800);
    const typedAt = Date.now();
    terminal.type('\x03');
    expect(await terminal.exited).toBe(130);
    expect(Date.now() - typedAt).toBeLessThan(1200);
    expect(readdirSync(join(home.stateDir, 'images'))).toEqual([expect.stringMatching(/\.build-/u)]);
    expect((await journalOf(home, 'impatient')).state).toBe('running');

    const next = await home.run(['image', 'rename', 'base', 'next']);
    expect(next).toMatchObject({ status: 0 });
    expect(next.stderr).toContain("cleaning up after 'banger image build impatient', which was killed");
    expect(readdirSync(join(home.stateDir, 'images'))).toEqual([]);
    expect((await journalOf(home, 'impatient')).state).toBe('interrupted');
  });
});

async function clearLogs(stateDir: string): Promise<void> {
  for (const name of readdirSync(join(stateDir, 'image-build')))
    await rm(join(stateDir, 'image-build', name));
}
