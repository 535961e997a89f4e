import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import {
  type BuiltImage,
  buildArguments,
  type Failure,
  type JournalEntry,
  journalOf,
  makeBase,
  untilPrinted,
} from '../support/builds.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { readGuest } from '../support/guest-files.ts';
import { fakeBzImage } from '../support/images.ts';

describe.each(testAccounts())('as $label', (account) => {
  test('of two builds of one name one wins, and the other fails at once', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const results = await Promise.all(
      [1, 2, 3].map(() =>
        home.json<BuiltImage & Failure>(buildArguments('wanted', '--no-ssh', '--run', 'sleep 2')),
      ),
    );
    expect(results.map(({ status }) => status).sort()).toEqual([0, 4, 4]);
    const losers = results.filter(({ status }) => status === 4);
    for (const { document } of losers) {
      expect(document.error.code).toBe('already_exists');
      expect(document.error.message).toMatch(
        /the name wanted is taken by build wanted|an image named wanted exists/u,
      );
    }
    const { document: operations } = await home.json<JournalEntry[]>(['operation', 'list']);
    expect(operations.filter(({ kind }) => kind === 'build')).toHaveLength(1);
    const late = await home.json<Failure>(buildArguments('wanted'));
    expect(late).toMatchObject({
      status: 4,
      document: { error: { message: expect.stringContaining('exists already') } },
    });
  });

  test('builds of different names overlap; their base is kept from change meanwhile', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    const { rootfs, kernel } = await makeBase(home);
    const step = ['--no-ssh', '--run', 'echo ready; sleep 30'];
    const first = home.start(buildArguments('first', ...step));
    const second = home.start(buildArguments('second', '--no-ssh', '--run', 'echo other; sleep 30'));
    await Promise.all([untilPrinted(home, 'ready'), untilPrinted(home, 'other')]);

    const { document: running } = await home.json<JournalEntry[]>(['operation', 'list', '--running']);
    expect(running.map(({ image_name, stage, alive }) => [image_name, stage, alive]).sort()).toEqual([
      ['first', 'launch_builder', true],
      ['second', 'launch_builder', true],
    ]);
    const refusals = await Promise.all([
      home.json<Failure>(['image', 'delete', 'base', '--yes']),
      home.json<Failure>(['image', 'rename', 'base', 'other']),
      home.json<Failure>(['image', 'promote', 'base']),
      home.json<Failure>(['image', 'register', 'base', ...['--rootfs', rootfs], ...['--kernel', kernel]]),
    ]);
    expect(refusals.map(({ status }) => status)).toEqual([5, 5, 5, 5]);
    for (const { document } of refusals) {
      expect(document.error.message).toMatch(/image base is in use by build (first|second) \(pid \d+/u);
    }
    expect(
      await home.json<Failure>([
        'image',
        'register',
        'first',
        ...['--rootfs', rootfs],
        ...['--kernel', kernel],
      ]),
    ).toMatchObject({ status: 4 });
    expect(await home.ok(['image', 'list'])).toMatch(/base .*build/u);

    const { document: journal } = await home.json<JournalEntry[]>(['operation', 'list', '--running']);
    for (const { id } of journal) await home.ok(['operation', 'cancel', id]);
    for (const { result } of [first, second]) {
      const { status, stderr } = await result;
      expect(status).toBe(143);
      expect(stderr).toMatch(/cancelled by 'banger operation cancel [0-9a-f]+'/u);
    }
    const [one, two] = [await journalOf(home, 'first'), await journalOf(home, 'second')];
    expect([one.state, two.state]).toEqual(['cancelled', 'cancelled']);
    expect(one.started_at < (two.finished_at ?? '') && two.started_at < (one.finished_at ?? '')).toBe(true);
    await home.ok(['image', 'rename', 'base', 'free']);
  });

  test('what becomes of the files of the base while the steps run does not matter', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs, kernel } = await makeBase(home);
    const running = home.start([
      ...buildArguments('made', '--no-ssh', '--run', 'echo ready; sleep 3; echo made >/made'),
      '--json',
    ]);
    await untilPrinted(home, 'ready');
    await writeFile(rootfs, 'gone');
    await writeFile(kernel, fakeBzImage('9.9.9-later'));
    const { status, stdout, stderr } = await running.result;
    expect([status, stderr]).toEqual([0, expect.any(String)]);
    const image = JSON.parse(stdout) as BuiltImage;
    expect(image.kernel_version).toBe('6.1.0-99-test-amd64');
    expect((await readFile(image.kernel_path)).includes('6.1.0-99-test-amd64')).toBe(true);
    expect(await readGuest(image.rootfs_path, '/made')).toBe('made\n');
  });
});
