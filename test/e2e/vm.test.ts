import { existsSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { bootstrapBootable } from '../support/bootable.ts';
import { makeBase } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { holdTool } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { startOnTerminal } from '../support/terminal.ts';

interface Vm {
  id: string;
  name: string;
  image_id: string;
  image_name: string;
  rootfs_path: string;
  work_disk_path: string | null;
  running: boolean;
  ssh_port: number | null;
}

interface Failed {
  error: { code: string; exit_code: number };
}

const MIB = 2 ** 20;
const BOOT_MS = 90_000;

/** A managed image with a work seed, built from a base of a few MiB. */
async function buildWeb(home: Home): Promise<void> {
  await makeBase(home);
  await home.ok(['image', 'build', 'web', '--from-image', 'base']);
}

const show = async (home: Home, name: string): Promise<Vm> =>
  (await home.json<Vm>(['vm', 'show', name])).document;

describe.each(testAccounts())('as $label', (account) => {
  test('a VM has disks of its own, as large as it was told, and holds its image', async ({ makeHome }) => {
    const home = await makeHome(account);
    await buildWeb(home);
    const { document: one } = await home.json<Vm>(['vm', 'create', 'one', '--image', 'web']);
    expect(one).toMatchObject({ name: 'one', image_name: 'web', running: false, ssh_port: null });
    const { document: image } = await home.json<{ rootfs_path: string }>(['image', 'show', 'web']);
    expect((await stat(one.rootfs_path)).size).toBe((await stat(image.rootfs_path)).size);
    const sizes = ['--disk-size', '256M', '--work-size', '1G'];
    expect(await home.ok(['vm', 'create', 'two', '--image', 'web', ...sizes])).toBe(
      'created two: banger vm run two\n',
    );
    const two = await show(home, 'two');
    expect((await stat(two.rootfs_path)).size).toBe(256 * MIB);
    expect((await stat(two.work_disk_path ?? '')).size).toBe(1024 * MIB);
    for (const disk of [two.rootfs_path, two.work_disk_path ?? '']) {
      expect((await run('e2fsck', ['-fn', disk])).exitCode).toBe(0);
    }
    // The base's blocks are of 1 KiB.
    expect((await run('dumpe2fs', ['-h', two.rootfs_path])).stdout).toMatch(/^Block count: +262144$/mu);

    expect(await home.ok(['vm', 'list', '--quiet'])).toBe('one\ntwo\n');
    expect(await home.ok(['vm', 'list'])).toMatch(/^one +web +stopped +[\d.]+ \w+ +[\d.]+ \w+ /mu);
    expect(await home.ok(['vm', 'show', two.id.slice(0, 8)])).toMatch(/^state: +stopped$/mu);
    expect(await home.fails(5, ['image', 'delete', 'web', '--yes'])).toContain('in use by VMs one, two');
    // Also once the name is another's.
    await home.ok(['image', 'build', 'web', '--from-image', 'base', '--replace']);
    expect(await home.fails(5, ['image', 'delete', 'web@1', '--yes'])).toContain('in use by VMs');
    expect((await show(home, 'one')).image_name).toBe('web@1');
    await home.ok(['image', 'prune', '--keep', '1', '--yes']);
    expect((await show(home, 'one')).image_name).toBe('web@1');

    expect(await home.ok(['vm', 'delete', 'one', 'two', '--yes'])).toBe('deleted one\ndeleted two\n');
    expect(existsSync(one.rootfs_path)).toBe(false);
    expect(await home.ok(['vm', 'list', '--json'])).toBe('[]\n');
    await home.ok(['image', 'delete', 'web@1', '--yes']);
  });

  test('a lost work disk is told, and the VM does not run without it', async ({ makeHome }) => {
    const home = await makeHome(account);
    await buildWeb(home);
    await home.ok(['vm', 'create', 'one', '--image', 'web']);
    const { work_disk_path: disk } = await show(home, 'one');
    await rm(disk ?? '');
    expect(await home.ok(['vm', 'list'])).toMatch(/^one +web +stopped +missing +missing /mu);
    expect((await show(home, 'one')).work_disk_path).toBe(disk);
    expect(await home.run(['check'])).toMatchObject({
      status: 11,
      stdout: expect.stringContaining(`VM one: work seed ${disk} does not exist`),
    });
    expect(await home.fails(6, ['vm', 'run', 'one'])).toContain(disk);
    expect(await home.ok(['vm', 'delete', 'one', '--yes'])).toBe('deleted one\n');
  });

  test('what cannot be made is refused, and nothing is left', async ({ makeHome }) => {
    const home = await makeHome(account);
    await buildWeb(home);
    await home.ok(['vm', 'create', 'web', '--image', 'web']);
    const create = (...more: string[]) => ['vm', 'create', ...more];
    expect(await home.fails(4, create('web', '--image', 'web'))).toContain('a VM named web exists already');
    expect(await home.fails(3, create('new', '--image', 'wbe'))).toContain('did you mean web?');
    expect(await home.fails(2, create('New', '--image', 'web'))).toContain('not a valid VM name');
    expect(await home.fails(2, create('new', '--image', 'web', '--disk-size', '1M'))).toContain(
      'cannot shrink',
    );
    expect(await home.fails(2, create('new', '--image', 'web', '--disk-size', 'x'))).toContain('not a size');
    expect(await home.fails(6, create('new', '--image', 'base', '--work-size', '2G'))).toContain(
      'no work seed',
    );
    const failed = await home.json<Failed>(create('web', '--image', 'web'));
    expect([failed.status, failed.document.error]).toMatchObject([
      4,
      { code: 'already_exists', exit_code: 4 },
    ]);
    expect(await home.fails(3, ['vm', 'show', 'wep'])).toContain('did you mean web?');
    expect(await home.fails(3, ['vm', 'delete', 'web', 'none', '--yes'])).toContain("no VM 'none'");
    expect(await home.fails(5, ['vm', 'ssh', 'web'])).toContain('does not run');
    expect(await home.fails(2, ['vm', 'run'])).toContain('missing argument VM');
    expect(await home.ok(['vm', 'list', '--quiet'])).toBe('web\n');
  });

  test('of two that make a VM of one name, one does', async ({ makeHome }) => {
    const home = await makeHome(account);
    await buildWeb(home);
    const racers = Array.from({ length: 4 }, () => home.run(['vm', 'create', 'one', '--image', 'web']));
    const statuses = (await Promise.all(racers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([0, 4, 4, 4]);
  });

  test('killed while it is made, it leaves nothing; its name is free again', async ({ makeHome }) => {
    const home = await makeHome(account);
    await buildWeb(home);
    const held = await holdTool(home, 'resize2fs');
    const running = home.start(['vm', 'create', 'one', '--image', 'web', '--disk-size', '256M'], {
      env: held.env,
    });
    await held.called();
    expect(await home.fails(4, ['vm', 'create', 'one', '--image', 'web'])).toContain('is taken by vm_create');
    expect(await home.fails(5, ['image', 'delete', 'web', '--yes'])).toContain('in use by vm_create');
    process.kill(-running.pid, 'SIGKILL');
    await running.result;
    expect(await readdir(join(home.stateDir, 'vms'))).toHaveLength(1);
    await home.ok(['vm', 'create', 'one', '--image', 'web']);
    expect(await readdir(join(home.stateDir, 'vms'))).toEqual([(await show(home, 'one')).id]);
  });

  test('check tells of VMs without disks, and puts aside what nobody made', async ({ makeHome }) => {
    const home = await makeHome(account);
    await buildWeb(home);
    await home.ok(['vm', 'create', 'one', '--image', 'web']);
    await home.ok(['check']);
    await home.write('.local/state/banger/vms/stray/file', 'somebody made this');
    const { rootfs_path } = await show(home, 'one');
    await rm(rootfs_path);
    const { status, stdout } = await home.run(['check']);
    expect(status).toBe(11);
    expect(stdout).toMatch(/VM one: .*rootfs\.ext4[\s\S]*banger vm delete one/u);
    expect(stdout).toMatch(/vms\/stray is in no record[\s\S]*lost\+found/u);
    expect(await home.ok(['vm', 'list'])).toMatch(/^one +web +stopped +missing/mu);
    await home.run(['check', '--repair']);
    expect(existsSync(join(home.stateDir, 'lost+found/stray/file'))).toBe(true);
    await home.ok(['vm', 'delete', 'one', '--yes']);
    await home.ok(['check']);
  });

  test('what a VM writes to its disks is there when it runs again', {
    timeout: 4 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    await home.ok(['vm', 'create', 'one', '--image', 'tiny']);
    for (const [command, said] of [
      ['echo kept-$((6*7)) >/file; sync; cat /file', /kept-42/u],
      ['cat /file', /kept-42/u],
    ] as const) {
      const terminal = startOnTerminal(home, ['vm', 'run', 'one', '--accel', 'tcg']);
      await terminal.until(/# /u, BOOT_MS);
      terminal.type(`${command}\r`);
      await terminal.until(said);
      const vm = await show(home, 'one');
      expect([vm.running, vm.ssh_port]).toEqual([true, expect.any(Number)]);
      expect(await home.fails(5, ['vm', 'delete', 'one', '--yes'])).toContain('VM one is in use by vm_run');
      expect(await home.fails(5, ['vm', 'run', 'one'])).toContain('VM one is in use by vm_run');
      terminal.type('poweroff -f\r');
      expect(await terminal.exited).toBe(0);
    }
    expect(await show(home, 'one')).toMatchObject({ running: false, ssh_port: null });
  });
});
