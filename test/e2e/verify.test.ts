import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject } from 'vitest';
import type { Finding } from '../../src/lib/finding.ts';
import { run } from '../../src/lib/system/process.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { DEBIAN_TIMEOUT_MS, debianBase } from '../support/debian.ts';
import { test } from '../support/fixtures.ts';
import { changeGuest } from '../support/guest-files.ts';
import { debianKernel } from '../support/kernel.ts';
import { copySoundImage, makeSoundImage, SOUND_VERSION, type SoundFiles } from '../support/sound-image.ts';

interface Verified {
  image: { id: string; name: string; kernel_version: string | null };
  ok: boolean;
  findings: Finding[];
  error?: { code: string; exit_code: number; message: string; hints: string[] };
}

let sound: string;

beforeAll(async () => {
  sound = await mkdtemp(join(inject('testRun').directory, 'verify-'));
  await makeSoundImage(sound);
});
afterAll(() => rm(sound, { recursive: true }));

/** Registers an image `web` with which nothing is wrong, and files of its own. */
async function registerWeb(home: Home): Promise<SoundFiles> {
  const files = await copySoundImage(sound, home.directory);
  const { rootfs, kernel, modules, workSeed } = files;
  await run('chown', ['-R', `${home.account.uid}:${home.account.gid}`, rootfs, kernel, modules, workSeed]);
  const optional = ['--modules', modules, '--work-seed', workSeed];
  await home.ok(['image', 'register', 'web', '--rootfs', rootfs, '--kernel', kernel, ...optional]);
  return files;
}

function verify(home: Home): Promise<{ status: number; document: Verified }> {
  return home.json<Verified>(['image', 'verify', 'web']);
}

describe.each(testAccounts())('image verify as $label', (account) => {
  test('finds nothing wrong where nothing is, and changes nothing', async ({ makeHome }) => {
    const home = await makeHome(account);
    const files = await registerWeb(home);
    const digest = async (): Promise<string> => {
      const { stdout } = await run('sha256sum', [files.rootfs, files.workSeed, files.kernel]);
      return stdout;
    };
    const before = await digest();
    const report = await home.ok(['image', 'verify', 'web']);
    expect(report.replace(/[\d.]+ MiB free/gu, 'something free')).toBe(
      `ok  filesystem  ext4 of 24 MiB, something free
ok  work_seed   ext4 of 8 MiB, something free
ok  kernel      6.1.0-99-test-amd64, bzImage for x86_64
ok  modules     /lib/modules/6.1.0-99-test-amd64 in the root filesystem
ok  drivers     virtio_blk built in, virtio_mmio built in, ext4 built in
ok  init        /sbin/init is a program for x86_64
ok  fstab       2 entries
ok  machine_id  each guest makes its own
`,
    );
    expect(await home.ok(['image', 'verify', 'web', '--quiet'])).toBe('');
    const { status, document } = await verify(home);
    expect([status, Object.keys(document)]).toEqual([0, ['image', 'ok', 'findings', 'boot']]);
    expect(document).toMatchObject({ image: { name: 'web', kernel_version: SOUND_VERSION }, ok: true });
    expect(await digest()).toBe(before);
  });

  test('tells what fails on standard output, and what to do', async ({ makeHome }) => {
    const home = await makeHome(account);
    const files = await registerWeb(home);
    await changeGuest(files.rootfs, 'rm /sbin/init', 'rm /bin/sh');
    const { status, stdout, stderr } = await home.run(['image', 'verify', 'web', '--quiet']);
    expect([status, stdout]).toEqual([
      10,
      'fail  init  there is no /sbin/init, /etc/init, /bin/init, and no /bin/sh\n      → banger image build NEW --from-image web --copy FILE:/sbin/init\n',
    ]);
    expect(stderr).toContain('error: image web does not pass: init\n');
    const { document } = await verify(home);
    expect(Object.keys(document)).toEqual(['image', 'ok', 'findings', 'boot', 'error']);
    expect(document).toMatchObject({
      ok: false,
      error: { code: 'boot_failed', exit_code: 10, hints: [expect.stringContaining('banger image build')] },
    });
  });

  test('does not know what there is not', async ({ makeHome }) => {
    const home = await makeHome(account);
    await home.fails(3, ['image', 'verify', 'web']);
  });
});

describe.each(testAccounts())('images that banger makes, as $label', (account) => {
  test("a busybox image with Debian's kernel passes, with an initrd", async ({ makeHome }) => {
    const home = await makeHome(account);
    const { kernel, modules } = await debianKernel();
    const flags = ['--flavor', 'busybox', '--kernel', kernel, '--modules', modules];
    await home.ok(['image', 'bootstrap', 'web', ...flags]);
    const { status, document } = await verify(home);
    expect([status, document.findings.map(({ name, status }) => `${name} ${status}`)]).toEqual([
      0,
      [
        'filesystem ok',
        'work_seed ok',
        'kernel ok',
        'initrd ok',
        'modules warn',
        'drivers ok',
        'init ok',
        'fstab ok',
        'machine_id ok',
      ],
    ]);
  });

  test('a Debian passes whole', { timeout: DEBIAN_TIMEOUT_MS }, async () => {
    const { home } = await debianBase(account);
    const { status, document } = await home.json<Verified>(['image', 'verify', 'debian-base']);
    expect([status, document.findings.filter((finding) => finding.status !== 'ok')]).toEqual([0, []]);
    expect(document.findings).toHaveLength(9);
  });
});
