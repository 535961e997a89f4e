import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identify } from '../../../src/lib/system/clone.ts';

const directory = mkdtempSync(join(tmpdir(), 'banger-clone-'));
const at = (name: string): string => join(directory, name);

beforeAll(() => {
  for (const name of ['tree/deep/deeper', 'outside']) mkdirSync(at(name), { recursive: true });
  writeFileSync(at('tree/deep/deeper/file'), 'inside');
  writeFileSync(at('outside/file'), 'outside');
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('the identity of a tree', () => {
  it.each([
    ['a file deep in it is written to', () => appendFileSync(at('tree/deep/deeper/file'), 'x')],
    ['one is added', () => writeFileSync(at('tree/deep/new'), '')],
    ['one is renamed', () => renameSync(at('tree/deep/new'), at('tree/deep/newer'))],
    ['one is removed', () => rmSync(at('tree/deep/newer'))],
    ['a link is added', () => symlinkSync(at('outside'), at('tree/out'))],
  ])('changes when %s', async (_what, change) => {
    const before = await identify(at('tree'));
    expect(await identify(at('tree'))).toBe(before);
    change();
    expect(await identify(at('tree'))).not.toBe(before);
  });

  it('ends where the tree ends, whatever its links lead to', { timeout: 2000 }, async () => {
    // Followed, each would lead back to all of them: more paths than there is time for.
    for (const name of ['a', 'b', 'c', 'd']) symlinkSync('..', at(`tree/deep/${name}`));
    const before = await identify(at('tree'));
    appendFileSync(at('outside/file'), 'x');
    expect(await identify(at('tree'))).toBe(before);
  });
});
