import { readdirSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { testAccounts } from '../support/cli.ts';
import { DEBIAN_TIMEOUT_MS, debianBase } from '../support/debian.ts';
import { test } from '../support/fixtures.ts';
import { startOnTerminal } from '../support/terminal.ts';

/** Emulated, on a machine that has other tests to run. */
const BOOT_MS = 90_000;

test.for(testAccounts().slice(-1))(
  'runs commands in a Debian by SSH, with their input, output and status',
  { timeout: DEBIAN_TIMEOUT_MS + 9 * BOOT_MS },
  async (account, { makeHome }) => {
    const { home: shared, image } = await debianBase(account);
    const home = await makeHome(account);
    await cp(join(shared.directory, '.config'), join(home.directory, '.config'), { recursive: true });
    await run('chown', ['-R', `${account.uid}:${account.gid}`, join(home.directory, '.config')]);
    const flags = [
      ...['--rootfs', image.rootfs_path],
      ...['--kernel', image.kernel_path],
      ...['--initrd', image.initrd_path ?? ''],
      ...['--work-seed', image.work_seed_path ?? ''],
    ];
    await home.ok(['image', 'register', 'debian', ...flags]);
    const line = 'read word; echo "$word from $(id -un)"; echo "no noise" >&2; exit 7';
    const ran = await home.run(
      ['vm', 'run', '--rm', '--accel', 'tcg', '--image', 'debian', '--timeout', '6m', '--', line],
      {
        input: 'a word\n',
        timeoutMs: 4 * BOOT_MS,
      },
    );
    expect(ran).toMatchObject({ status: 7, stdout: 'a word from root\n' });
    expect(ran.stderr).toContain('no noise');
    expect(readdirSync(join(home.stateDir, 'vms'))).toEqual([]);

    // One that is kept: others get in while it runs, and it powers off when it is told to.
    await home.ok(['vm', 'create', 'box', '--image', 'debian']);
    const terminal = startOnTerminal(home, ['vm', 'run', 'box', '--accel', 'tcg', '--timeout', '6m']);
    await terminal.until(/login: /u, 3 * BOOT_MS);
    const ssh = await home.run(['vm', 'ssh', 'box', '--', 'sh', '-c', 'echo "a  b"; exit 3']);
    expect(ssh).toMatchObject({ status: 3, stdout: 'a  b\n' });
    terminal.kill('SIGTERM');
    expect(await terminal.exited).toBe(143);
    const { document: box } = await home.json<{ rootfs_path: string }>(['vm', 'show', 'box']);
    // Unmounted by the guest itself: there is no journal to replay.
    expect((await run('dumpe2fs', ['-h', box.rootfs_path])).stdout).not.toContain('needs_recovery');
  },
);
