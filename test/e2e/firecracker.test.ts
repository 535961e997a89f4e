import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { hostCounterKhz } from '../../src/lib/machine/host-clock.ts';
import { bootstrapBootable } from '../support/bootable.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { withTools } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { startOnTerminal } from '../support/terminal.ts';

/** Emulated, on a machine that has other tests to run. */
const BOOT_MS = 90_000;
const FIRECRACKER = ['--vmm', 'firecracker', '--accel', 'kvm'];

/**
 * Firecracker is no package of Debian's, and wants KVM. In its stead QEMU boots what its configuration says: the unpacked
 * kernel, by the entry for PVH that such a file has, with the same words, initrd and disks.
 */
async function fakeFirecracker(home: Home): Promise<{ PATH: string }> {
  await home.write(
    'tools/firecracker',
    `#!/bin/sh
[ "$1 $2" = '--no-api --config-file' ] || exit 1
cat "$3" >${home.directory}/config
value() { sed -n "s/.*\\"$1\\":\\"\\\\([^\\"]*\\\\)\\".*/\\\\1/p" ${home.directory}/config; }
cp "$(value kernel_image_path)" ${home.directory}/vmlinux
disks=
for path in $(grep -o '"path_on_host":"[^"]*"' ${home.directory}/config | cut -d'"' -f4); do
  n=$((n + 1))
  disks="$disks -drive if=none,id=d$n,format=raw,file=$path -device virtio-blk-device,drive=d$n"
done
exec qemu-system-x86_64 -machine microvm,acpi=on,rtc=on -accel tcg -cpu max -m 512M -nodefaults -no-user-config -no-reboot \\
  -display none -chardev stdio,id=c,signal=off -serial chardev:c -kernel ${home.directory}/vmlinux \\
  -initrd "$(value initrd_path)" -append "$(value boot_args) reboot=t tsc_early_khz=${hostCounterKhz()}" $disks
`,
    0o755,
  );
  return withTools(home);
}

describe.each(testAccounts())('as $label', (account) => {
  test('an image boots with it: its kernel is unpacked, and what its init says comes by the console', {
    timeout: 4 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const env = await fakeFirecracker(home);
    const verify = ['image', 'verify', 'tiny', '--boot', ...FIRECRACKER, '--check', 'id -un'];
    const { status, document } = await home.json<{ boot: { up: boolean; checks: { output: string }[] } }>(
      verify,
      {
        env,
        timeoutMs: 2 * BOOT_MS,
      },
    );
    expect(status).toBe(0);
    expect(document.boot).toMatchObject({ up: true, checks: [{ status: 0, output: 'root' }] });
    const config = JSON.parse(readFileSync(join(home.directory, 'config'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect(config['machine-config']).toEqual({ vcpu_count: 1, mem_size_mib: 512 });
    expect(config.drives).toMatchObject([{ is_read_only: false }, { drive_id: 'disk1' }]);
    expect(readFileSync(join(home.directory, 'vmlinux')).subarray(0, 4).toString('latin1')).toBe('\u007fELF');

    const terminal = startOnTerminal(home, ['vm', 'run', '--rm', '--image', 'tiny', ...FIRECRACKER], { env });
    await terminal.until(/# /u, BOOT_MS);
    terminal.type('echo "$(id -un)-$((6*7))"; poweroff -f\r');
    await terminal.until(/root-42/u);
    expect(await terminal.exited).toBe(0);
  });

  test('what it cannot do is refused before anything is made', async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const run = ['vm', 'run', '--rm', '--image', 'tiny', '--vmm', 'firecracker'];
    expect(await home.fails(6, run)).toContain('firecracker is not installed');
    const options = { env: await fakeFirecracker(home) };
    expect(await home.fails(6, [...run, '--', 'true'], options)).toContain('nobody gets in by SSH');
    expect(await home.fails(6, [...run, '--ssh-port', '2222'], options)).toContain('--vmm qemu');
    expect(await home.fails(2, [...run, '--accel', 'tcg'], options)).toContain('emulates no processor');
  });
});
