import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  deviceFault,
  findTool,
  firstFreeSubordinate,
  mayChangeIds,
  readSysctl,
  subordinateIds,
  toolVersion,
} from '../../../src/lib/system/preflight.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'banger-preflight-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('tools are found as a shell would, and in /usr/sbin too', async () => {
  expect(await findTool('mke2fs')).toMatch(/sbin\/mke2fs$/u);
  expect(await findTool('no-such-tool')).toBeNull();
  await mkdir(join(directory, 'first/tool'), { recursive: true });
  await mkdir(join(directory, 'second'));
  await writeFile(join(directory, 'second/tool'), '#!/bin/sh\n');
  const path = `${directory}/first:${directory}/second`;
  expect(await findTool('tool', path)).toBeNull();
  await chmod(join(directory, 'second/tool'), 0o755);
  expect(await findTool('tool', path)).toBe(join(directory, 'second/tool'));
});

test('versions are read from either stream, whatever the status', async () => {
  expect(await toolVersion('mke2fs', ['-V'])).toMatch(/^1\.\d+/u);
  expect(await toolVersion('sh', ['-c', 'echo "tool v12.3-rc1 (c) 2020" >&2; exit 3'])).toBe('12.3-rc1');
  expect(await toolVersion('true', [])).toBeNull();
});

test('subordinate ids go by name or by number, and free ones come after all', async () => {
  const file = join(directory, 'subuid');
  await writeFile(file, 'ann:100000:65536\n1001:165536:65536\n\nann:300000:10\nbroken\n');
  expect(await subordinateIds(file, { name: 'ann', uid: 1000 })).toEqual([
    { first: 100_000, count: 65_536 },
    { first: 300_000, count: 10 },
  ]);
  expect(await subordinateIds(file, { name: 'bob', uid: 1001 })).toEqual([{ first: 165_536, count: 65_536 }]);
  expect(await firstFreeSubordinate(file)).toBe(300_010);
  expect(await subordinateIds(join(directory, 'missing'), { name: 'ann', uid: 1000 })).toEqual([]);
  expect(await firstFreeSubordinate(join(directory, 'missing'))).toBe(100_000);
});

test('devices are opened, and say why not', async () => {
  expect(await deviceFault('/dev/null')).toBeNull();
  expect(await deviceFault(join(directory, 'missing'))).toBe('ENOENT');
  await symlink('loop', join(directory, 'loop'));
  expect(await deviceFault(join(directory, 'loop'))).toBe('ELOOP');
});

test('programs that change ids are told from those that do not', async () => {
  expect(await mayChangeIds('/usr/bin/newuidmap')).toBe(true);
  expect(await mayChangeIds('/usr/bin/env')).toBe(false);
});

test('kernel settings are read, or are not there', async () => {
  expect(await readSysctl('kernel.ostype')).toBe('Linux');
  expect(await readSysctl('kernel.no_such_setting')).toBeNull();
});
