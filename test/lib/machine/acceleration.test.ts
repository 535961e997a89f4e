import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Acceleration, chooseAccelerator } from '../../../src/lib/machine/acceleration.ts';
import { PROBE_SENTINEL } from '../../../src/lib/machine/probe-guest.ts';
import { debianKernel } from '../../support/kernel.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'banger-test-'));
  onTestFinished(() => rm(directory, { recursive: true }));
});

/** A QEMU that does so with KVM and so without: shell commands. Returns how often it was called with KVM. */
async function fakeQemu(withKvm: string, emulated: string): Promise<() => Promise<number>> {
  const calls = join(directory, 'calls');
  const path = join(directory, 'bin', 'qemu-system-x86_64');
  await mkdir(join(directory, 'bin'), { recursive: true });
  await writeFile(
    path,
    `#!/bin/sh\ncase "$*" in *'-accel kvm'*) echo >>${calls}; ${withKvm} ;; *) ${emulated} ;; esac\n`,
  );
  await chmod(path, 0o755);
  vi.stubEnv('PATH', `${join(directory, 'bin')}:${process.env.PATH}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  return async () => (await readFile(calls, 'utf8').catch(() => '')).length;
}

async function choose(wanted: Acceleration, { device = '/dev/null', kernel = '/vmlinuz' } = {}) {
  const notes: string[] = [];
  const accelerator = await chooseAccelerator(wanted, {
    ...{ kernel, device, cacheDir: join(directory, 'cache') },
    signal: AbortSignal.timeout(120_000),
    notify: (message) => notes.push(message),
  });
  return { accelerator, notes };
}

const SPEAK = `echo 'a kernel'; printf '${PROBE_SENTINEL}\\r\\n'; sleep 1000`;
const HANG = `echo 'Probing EDD (edd=off to disable)... ok'; sleep 1000`;
const DIE = 'exit 0';

describe('who runs a machine', () => {
  test('is KVM where a guest runs with it, which is found out once', async () => {
    const calls = await fakeQemu(SPEAK, HANG);
    expect(await choose('auto')).toEqual({ accelerator: 'kvm', notes: [] });
    expect(await calls()).toBe(1);
    expect(await choose('auto')).toEqual({ accelerator: 'kvm', notes: [] });
    expect(await calls()).toBe(1);
  });

  test.for([
    ['hang', HANG],
    ['die', DIE],
  ])('is TCG where guests %s with KVM, which is told each time', async ([, withKvm = '']) => {
    const calls = await fakeQemu(withKvm, SPEAK);
    const emulated = {
      accelerator: 'tcg',
      notes: [
        '/dev/null opens, but guests hang or die with it; the machine is emulated (TCG), which is several times slower',
      ],
    };
    expect(await choose('auto')).toEqual(emulated);
    expect(await choose('auto')).toEqual(emulated);
    expect(await calls()).toBe(1);
  });

  test('is found out again after the host booted, or where what was written is damaged', async () => {
    const calls = await fakeQemu(SPEAK, HANG);
    const memory = join(directory, 'cache', 'kvm.json');
    for (const text of ['{"boot_id":"another","works":false}', '{"boot_id":', '[]', 'null', '']) {
      await mkdir(join(directory, 'cache'), { recursive: true });
      await writeFile(memory, text);
      const before = await calls();
      expect(await choose('auto')).toEqual({ accelerator: 'kvm', notes: [] });
      expect(await calls()).toBe(before + 1);
    }
  });

  test('is not remembered of a kernel that boots in neither way', async () => {
    const calls = await fakeQemu(DIE, DIE);
    for (const times of [1, 2]) {
      const { accelerator, notes } = await choose('auto');
      expect([accelerator, notes.length, await calls()]).toEqual(['tcg', 1, times]);
    }
  });

  test('need not be remembered', async () => {
    const calls = await fakeQemu(SPEAK, HANG);
    await writeFile(join(directory, 'cache'), 'no directory');
    expect((await choose('auto')).accelerator).toBe('kvm');
    expect((await choose('auto')).accelerator).toBe('kvm');
    expect(await calls()).toBe(2);
  });

  test('is who was asked for, or nobody', async () => {
    const calls = await fakeQemu(DIE, DIE);
    expect(await choose('tcg')).toEqual({ accelerator: 'tcg', notes: [] });
    expect(await choose('kvm')).toEqual({ accelerator: 'kvm', notes: [] });
    const device = join(directory, 'no-kvm');
    await expect(choose('kvm', { device })).rejects.toMatchObject({ exitCode: 6 });
    expect(await choose('auto', { device })).toEqual({
      accelerator: 'tcg',
      notes: [expect.stringContaining(`${device} cannot be opened: there is none`)],
    });
    expect(await calls()).toBe(0);
  });

  test('is found out with a real kernel, within seconds', { timeout: 120_000 }, async () => {
    const { kernel } = await debianKernel();
    // Whoever it is, a guest ran: nobody knows what KVM is worth on this machine.
    const first = await choose('auto', { device: '/dev/null', kernel });
    const known = await readFile(join(directory, 'cache', 'kvm.json'), 'utf8');
    expect(JSON.parse(known)).toMatchObject({ works: first.accelerator === 'kvm' });
    expect(first.notes).toHaveLength(first.accelerator === 'kvm' ? 0 : 1);
  });
});
