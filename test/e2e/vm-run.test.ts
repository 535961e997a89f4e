import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { bootstrapBootable } from '../support/bootable.ts';
import type { BuiltImage } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { descendantsOf } from '../support/processes.ts';
import { startOnTerminal } from '../support/terminal.ts';
import { inspectKernel } from '../support/verifier-kernel.ts';

/** Emulated, on a machine that has other tests to run. */
const BOOT_MS = 90_000;
// Whether this machine's KVM works or hangs its guests nobody knows.
const RUN = ['vm', 'run', '--rm', '--accel', 'tcg'];

const disksOf = (home: Home): string[] => readdirSync(join(home.stateDir, 'vms'));

describe.each(testAccounts())('as $label', (account) => {
  test("a VM's console is the terminal, until it powers off or its power is cut", {
    timeout: 4 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const terminal = startOnTerminal(home, [...RUN, '--image', 'tiny', '--memory', '256M']);
    await terminal.until(/# /u, BOOT_MS);
    terminal.type('echo "$(id -un)-$((6*7))"; cat /proc/meminfo | head -1; mount\r');
    await terminal.until(/root-42[\r\n]+MemTotal: +2\d{5} kB[\s\S]*\/dev\/vdb on \/root/u);
    expect(disksOf(home)).toHaveLength(1);
    // Nobody deletes what a VM is made from.
    expect(await home.fails(5, ['image', 'delete', 'tiny', '--yes'])).toContain('vm_run tiny in VM run-');
    terminal.type('touch /kept; poweroff -f\r');
    expect(await terminal.exited).toBe(0);
    expect(disksOf(home)).toEqual([]);

    const other = startOnTerminal(home, [...RUN, '--image', 'tiny']);
    await other.until(/# /u, BOOT_MS);
    other.type('ls /kept\r');
    await other.until(/No such file/u);
    other.type('\x01x');
    expect(await other.exited).toBe(0);
    expect(disksOf(home)).toEqual([]);
  });

  test('killed, it leaves no process, and the next command removes its disks', {
    timeout: 3 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    for (const [signal, status] of [
      ['SIGKILL', 137],
      ['SIGTERM', 143],
    ] as const) {
      const running = home.start([...RUN, '--image', 'tiny']);
      while (!descendantsOf(running.pid).some(({ name }) => name.startsWith('qemu-system'))) await sleep(50);
      running.kill(signal);
      expect((await running.result).status).toBe(status);
      for (let looks = 0; inspectKernel(home.stateDir).length > 0; looks += 1) {
        expect(looks, inspectKernel(home.stateDir).join('\n')).toBeLessThan(100);
        await sleep(100);
      }
      expect(disksOf(home)).toHaveLength(signal === 'SIGKILL' ? 1 : 0);
      await home.ok(['image', 'rename', 'tiny', 'small']);
      await home.ok(['image', 'rename', 'small', 'tiny']);
      expect(disksOf(home)).toEqual([]);
    }
  });

  test('what cannot be run is refused before anything is made', async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'base');
    await home.ok(['image', 'build', 'tiny', '--from-image', 'base', '--no-ssh']);
    const { document } = await home.json<BuiltImage>(['image', 'show', 'tiny']);
    expect(await home.fails(3, [...RUN, '--image', 'tinny'])).toContain('did you mean tiny?');
    expect(await home.fails(2, ['vm', 'run', '--image', 'tiny'])).toContain('--rm');
    expect(await home.fails(2, [...RUN, '--image', 'tiny', '--memory', '1M'])).toContain('--memory');
    expect(await home.fails(2, [...RUN, '--image', 'tiny', '--timeout', '5'])).toContain('span of time');
    expect(await home.fails(6, [...RUN, '--image', 'tiny', '--', 'true'])).toContain('no SSH key seeded');
    const noTools = { env: { PATH: join(home.directory, 'empty') } };
    await home.write('empty/none', '');
    await run('rm', [document.rootfs_path]);
    expect(await home.fails(6, [...RUN, '--image', 'tiny'])).toContain('rootfs.ext4');
    expect(await home.fails(6, [...RUN, '--image', 'tiny'], noTools)).toContain('qemu-system-x86');
    expect(disksOf(home)).toEqual([]);
    await home.ok(['image', 'delete', 'tiny', '--purge', '--yes']);
  });
});
