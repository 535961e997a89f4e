import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { startMachine } from '../../src/lib/machine/qemu.ts';
import { run } from '../../src/lib/system/process.ts';
import { bootstrapBootable } from '../support/bootable.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';

/** Emulated, on a machine that has other tests to run. */
const BOOT_TIMEOUT_MS = 90_000;
const TYPE_AGAIN_MS = 1000;

/** The last account: what a guest does is the same whoever made it. */
const ACCOUNTS = testAccounts().slice(-1);

test.for(ACCOUNTS)(
  "a busybox image with a kernel whose disk drivers are modules boots to a shell, with its owner's key",
  { timeout: 2 * BOOT_TIMEOUT_MS },
  async (account, { makeHome }) => {
    const home = await makeHome(account);
    const document = await bootstrapBootable(home, 'tiny');
    const { initrd_path: initrd, rootfs_path: rootfs, work_seed_path: workSeed } = document;
    await home.verify();
    expect((await stat(initrd ?? '')).size).toBeLessThan(8 * 2 ** 20);

    const disks = [join(home.directory, 'vda'), join(home.directory, 'vdb')];
    await run('cp', ['--sparse=always', rootfs, disks[0] ?? '']);
    await run('cp', ['--sparse=always', workSeed, disks[1] ?? '']);
    const console: Buffer[] = [];
    const machine = await startMachine({
      ...{ kernel: document.kernel_path, initrd, disks: disks.map((path) => ({ path })) },
      ...{ memory: 256 * 2 ** 20, cpus: 1, network: null },
      // Whether this machine's KVM works or hangs its guests nobody knows.
      accelerator: 'tcg',
      commandLine: ['quiet', 'root=/dev/vda', 'rw'],
      signal: AbortSignal.timeout(BOOT_TIMEOUT_MS),
      onConsole: (bytes) => console.push(bytes),
    });
    let ended = false;
    const exited = machine.exited.then(() => {
      ended = true;
    });
    // What is typed before there is a shell is lost.
    while (!ended) {
      machine.type('cat /root/.ssh/authorized_keys && mount && uname -r && poweroff -f\n');
      await sleep(TYPE_AGAIN_MS);
    }
    await exited;
    const said = Buffer.concat(console).toString().replaceAll('\r', '');
    const key = await readFile(join(home.directory, '.config/banger/id_ed25519.pub'), 'utf8');
    expect(said).toContain(key.split(' ')[1]);
    expect(said).toMatch(/^\/dev\/vda on \/ type ext4 \(rw/mu);
    expect(said).toMatch(/^\/dev\/vdb on \/root type ext4/mu);
    expect(said).toContain(document.kernel_version);
  },
);
