import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { packageChangesOf } from '../../../src/lib/image/package-history.ts';
import { run } from '../../../src/lib/system/process.ts';
import { makeRootfs } from '../../support/images.ts';

const directory = mkdtempSync(join(tmpdir(), 'package-history-'));
afterAll(() => rmSync(directory, { recursive: true }));

async function generation(
  id: string,
  versions: Readonly<Record<string, string>> | null,
): Promise<{ id: string; rootfs_path: string }> {
  const status = Object.entries(versions ?? {})
    .map(
      ([name, version]) =>
        `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nVersion: ${version}\n`,
    )
    .join('\n');
  const files: Record<string, string> = versions === null ? {} : { 'var/lib/dpkg/status': status };
  return { id, rootfs_path: await makeRootfs(join(directory, id), { sizeMiB: 16, files }) };
}

test('packages are compared with those of the generation before, where both can be read', async () => {
  const damaged = await generation('5', { a: '9' });
  await run('debugfs', ['-w', '-R', 'zap_block -f / 0', damaged.rootfs_path]);
  const changes = await packageChangesOf([
    await generation('7', { a: '3' }),
    await generation('6', { a: '3' }),
    damaged,
    await generation('4', null),
    { id: '3', rootfs_path: join(directory, 'nowhere') },
    await generation('2', { a: '2', c: '1' }),
    await generation('1', { a: '1', b: '1' }),
  ]);
  const nothing = { added: [], removed: [], changed: [] };
  const all = { architecture: 'all' };
  expect(Object.fromEntries(changes)).toEqual({
    1: null,
    2: {
      added: [{ name: 'c', ...all, from_version: null, to_version: '1' }],
      removed: [{ name: 'b', ...all, from_version: '1', to_version: null }],
      changed: [{ name: 'a', ...all, from_version: '1', to_version: '2' }],
    },
    3: null,
    4: null,
    5: null,
    6: null,
    7: nothing,
  });
});
