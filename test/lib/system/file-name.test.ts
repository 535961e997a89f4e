import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { bytesOfName, fsPath, readLink, readNames, textOfName } from '../../../src/lib/system/file-name.ts';

const directory = mkdtempSync(join(tmpdir(), 'banger-names-'));
afterAll(() => rmSync(directory, { recursive: true }));

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');

test.each([
  ['plain', latin('plain'), 'plain'],
  ['UTF-8', Buffer.from('café 💾'), 'café 💾'],
  ['latin1', latin('caf\u00e9'), 'caf\udce9'],
  ['one cut short', latin('\u00e2\u0082'), '\udce2\udc82'],
  ['a surrogate, which UTF-8 has none of', latin('\u00ed\u00b2\u0080'), '\udced\udcb2\udc80'],
])('a name of %s', (_what, bytes, text) => {
  expect(textOfName(bytes)).toBe(text);
  expect(bytesOfName(text)).toEqual(bytes);
});

test('any bytes become a text of their own, and come back', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (array) => {
      const bytes = Buffer.from(array);
      return bytesOfName(textOfName(bytes)).equals(bytes);
    }),
  );
});

test('names are read in the order of their bytes, whatever they are', () => {
  const below = join(directory, 'names');
  mkdirSync(below);
  const texts = ['B', 'a', 'a.b', 'café', 'caf\udce9', '\uffee', '💾', '\udcff\nx'];
  for (const text of texts) writeFileSync(fsPath(`${below}/${text}`), '');
  const read = readNames(below);
  expect(read).toEqual(texts.toSorted((one, other) => Buffer.compare(bytesOfName(one), bytesOfName(other))));
});

test('a link may say anything', () => {
  const link = join(directory, 'link');
  symlinkSync(fsPath('to/caf\udce9'), link);
  expect(readLink(link)).toBe('to/caf\udce9');
});
