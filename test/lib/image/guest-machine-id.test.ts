import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { withVolume } from '../../../src/lib/ext4/volume.ts';
import { machineIdFinding } from '../../../src/lib/image/guest-machine-id.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(join(tmpdir(), 'banger-machine-id-'));
afterAll(() => rmSync(directory, { recursive: true }));

const ID = '0123456789abcdef0123456789abcdef\n';
const ETC = 'etc/machine-id';
const DBUS = 'var/lib/dbus/machine-id';
const SYSTEMD = { 'usr/lib/systemd/systemd': '' };

/** An image with these files; a value with an arrow is where a link leads, `fifo` a FIFO. */
async function findingOf(files: Readonly<Record<string, string>>) {
  const tree = join(directory, 'tree');
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(tree);
  for (const [name, content] of Object.entries(files)) {
    const path = join(tree, name);
    mkdirSync(dirname(path), { recursive: true });
    if (content.startsWith('-> ')) symlinkSync(content.slice(3), path);
    else if (content === 'fifo') await run('mkfifo', [path]);
    else writeFileSync(path, content);
  }
  const image = join(directory, 'image');
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', tree, image, '4M']);
  return withVolume(image, (volume) => machineIdFinding(volume, 'mend'));
}

describe('the machine-id of an image', () => {
  test.for([
    ['ok', {}],
    ['ok', SYSTEMD],
    ['ok', { ...SYSTEMD, [ETC]: '' }],
    ['ok', { ...SYSTEMD, [ETC]: 'uninitialized\n', [DBUS]: `-> /${ETC}` }],
    ['ok', { ...SYSTEMD, [ETC]: '-> /run/machine-id' }],
    ['warn', { [ETC]: ID }],
    ['warn', { ...SYSTEMD, [ETC]: 'tbd' }],
    ['warn', { [ETC]: 'fifo' }],
    ['fail', { ...SYSTEMD, [ETC]: ID }],
    ['fail', { ...SYSTEMD, [ETC]: '', [DBUS]: ID }],
    ['fail', { 'usr/bin/dbus-daemon': '', [DBUS]: ID }],
    ['fail', { ...SYSTEMD, [ETC]: 'fifo' }],
  ] as const)('is %s: %j', async ([status, files]) => {
    expect(await findingOf(files)).toMatchObject({ name: 'machine_id', status });
  });

  test('is told once where one file is a link to the other, and twice where each has one', async () => {
    expect((await findingOf({ ...SYSTEMD, [ETC]: ID, [DBUS]: `-> /${ETC}` })).detail).toBe(
      '/etc/machine-id holds an identifier, which all guests would share',
    );
    expect((await findingOf({ ...SYSTEMD, [ETC]: ID, [DBUS]: ID })).detail).toContain(`/${ETC} and /${DBUS}`);
  });
});
