import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { bootstrapBootable } from '../support/bootable.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { DEBIAN_TIMEOUT_MS, registerDebian } from '../support/debian.ts';
import { test } from '../support/fixtures.ts';
import { descendantsOf } from '../support/processes.ts';

/** Emulated, on a machine that has other tests to run. */
const BOOT_MS = 90_000;
// Whether this machine's KVM works or hangs its guests nobody knows.
const BOOT = ['--boot', '--accel', 'tcg'];

interface Verified {
  ok: boolean;
  boot: {
    up: boolean;
    state: string | null;
    failed_units: string[];
    times: { kernel_ms: number; initrd_ms: number | null; userspace_ms: number; total_ms: number } | null;
    checks: { command: string; status: number; output: string }[];
    earlier: { generation: number; total_ms: number }[];
    log_path: string;
  } | null;
  error?: { message: string; log_path: string };
}

const verify = (home: Home, name: string, ...more: string[]) =>
  home.json<Verified>(['image', 'verify', name, ...BOOT, ...more], { timeoutMs: 3 * BOOT_MS });

/** What is in the directory of images beside images: nothing that a verification made. */
const stagesOf = (home: Home): string[] =>
  readdirSync(join(home.stateDir, 'images')).filter((name) => name.includes('.verify-'));

describe.each(testAccounts())('as $label', (account) => {
  test('an image that boots passes, its phases are timed, and compared with earlier generations', {
    timeout: 6 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const first = await verify(home, 'tiny', '--check', 'id -un; uname -s >&2', '--check', 'mount');
    expect(first.status).toBe(0);
    const { ok, boot } = first.document;
    expect(ok).toBe(true);
    expect(boot).toMatchObject({ up: true, state: 'terminal', failed_units: [], earlier: [] });
    expect(boot?.checks).toMatchObject([
      { command: 'id -un; uname -s >&2', status: 0, output: 'root\nLinux' },
      {
        status: 0,
        output: expect.stringMatching(/^\/dev\/vda on \/ type ext4 \(rw[\s\S]*\/dev\/vdb on \/root/mu),
      },
    ]);
    const { kernel_ms = 0, initrd_ms, userspace_ms = 0, total_ms } = boot?.times ?? {};
    expect(Math.min(kernel_ms, initrd_ms ?? 0, userspace_ms)).toBeGreaterThan(0);
    expect(total_ms).toBe(kernel_ms + (initrd_ms ?? 0) + userspace_ms);
    expect(stagesOf(home)).toEqual([]);

    await home.ok(['image', 'build', 'tiny', '--from-image', 'tiny', '--replace', '--run', 'touch /second']);
    const text = await home.ok(['image', 'verify', 'tiny', ...BOOT, '--check', 'test -e /second']);
    expect(text).toMatch(/^this one +now +[\d.]+s +[\d.]+s +[\d.]+s +[\d.]+s +tcg\ngeneration 1 +/mu);
    expect((await verify(home, 'tiny')).document.boot?.earlier).toMatchObject([{ generation: 1, total_ms }]);
  });

  test('killed while it boots, it leaves nothing, and the image is as it was', {
    timeout: 2 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs_path } = await bootstrapBootable(home, 'tiny');
    const running = home.start(['image', 'verify', 'tiny', ...BOOT]);
    while (!descendantsOf(running.pid).some(({ name }) => name.startsWith('qemu-system'))) await sleep(50);
    // Nobody deletes what is being looked at.
    expect(await home.fails(5, ['image', 'delete', 'tiny', '--yes'])).toContain('verify tiny');
    process.kill(-running.pid, 'SIGKILL');
    await running.result;
    expect(stagesOf(home)).toHaveLength(1);
    await home.ok(['image', 'rename', 'tiny', 'small']);
    expect(stagesOf(home)).toEqual([]);
    expect(existsSync(rootfs_path)).toBe(true);
  });

  test('words that make no sense are refused before anything is booted', async ({ makeHome }) => {
    const home = await makeHome(account);
    expect(await home.fails(2, ['image', 'verify', 'tiny', '--check', 'true'])).toContain('--boot');
    expect(await home.fails(2, ['image', 'verify', 'tiny', ...BOOT, '--memory', '1M'])).toContain('--memory');
    expect(await home.fails(2, ['image', 'verify', 'tiny', ...BOOT, '--timeout', '9'])).toContain('span');
    expect(await home.fails(3, ['image', 'verify', 'tiny', ...BOOT])).toContain('tiny');
  });
});

test.for(testAccounts().slice(-1))(
  'an image that does not boot, or fails a check, exits with 10 and leaves the console',
  {
    timeout: 6 * BOOT_MS,
  },
  async (account, { makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const failed = await verify(home, 'tiny', '--check', 'echo one; echo two; exit 3', '--check', 'true');
    expect([failed.status, failed.document.ok]).toEqual([10, false]);
    expect(failed.document.error?.message).toMatch(
      /'echo one; echo two; exit 3' ended with status 3:\none\ntwo$/u,
    );
    expect(failed.document.boot?.checks.map(({ status }) => status)).toEqual([3, 0]);
    const { log_path: log = '' } = failed.document.boot ?? {};
    expect(await readFile(log, 'utf8')).toMatch(/BusyBox[\s\S]*failed: image tiny boots, but/u);

    const dies = [
      '--run',
      'printf "#!/bin/sh\\necho last words\\nexit 1\\n" >/sbin/init; chmod 755 /sbin/init',
    ];
    const sleeps = ['--run', 'printf "#!/bin/sh\\nexec sleep 1000\\n" >/sbin/init; chmod 755 /sbin/init'];
    await home.ok(['image', 'build', 'dies', '--from-image', 'tiny', '--run', 'rm /sbin/init', ...dies]);
    await home.ok(['image', 'build', 'sleeps', '--from-image', 'tiny', '--run', 'rm /sbin/init', ...sleeps]);
    const dead = await verify(home, 'dies');
    expect([dead.status, dead.document.boot?.times]).toEqual([10, null]);
    expect(dead.document.error?.message).toContain('its init did not come up (the guest ended)');
    expect(await readFile(dead.document.error?.log_path ?? '', 'utf8')).toContain('last words');
    const slow = await verify(home, 'sleeps', '--timeout', '12s');
    expect(slow.status).toBe(10);
    expect(slow.document.error?.message).toContain('not within 12s');
    expect(stagesOf(home)).toEqual([]);
    const journal = await home.json<{ kind: string; state: string }[]>(['operation', 'list']);
    expect(journal.document.filter(({ kind }) => kind === 'verify').map(({ state }) => state)).toEqual([
      'failed',
      'failed',
      'failed',
    ]);
  },
);

test.for(testAccounts().slice(-1))(
  'a Debian is up when systemd says so',
  { timeout: DEBIAN_TIMEOUT_MS + 4 * BOOT_MS },
  async (account, { makeHome }) => {
    const home = await makeHome(account);
    await registerDebian(home);
    const check = ['--check', 'systemctl is-active ssh', '--check', 'systemctl is-system-running'];
    const { status, document } = await verify(home, 'debian-base', '--timeout', '4m', ...check);
    expect(document.error?.message).toBeUndefined();
    expect(status).toBe(0);
    expect(document.boot).toMatchObject({
      ...{ up: true, state: 'running', failed_units: [] },
      checks: [{ output: 'active' }, { output: 'running' }],
    });
  },
);
