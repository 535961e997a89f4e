import { mkdir } from 'node:fs/promises';
import { expect, vi } from 'vitest';
import { insertImage, listImages } from '../../../src/lib/store/images.ts';
import { migrations } from '../../../src/lib/store/migrations/index.ts';
import { openForReading, openForWriting } from '../../../src/lib/store/open.ts';
import { imageRow } from '../plans.ts';
import { test } from '../state.ts';

/** The schema that this program is taken to know: its own, the next one, and the one after. */
const known = vi.hoisted(() => ({ later: 0 }));
vi.mock('../../../src/lib/store/version.ts', async (original) => ({
  ...(await original<object>()),
  get SCHEMA_VERSION() {
    return Object.keys(migrations).length + known.later;
  },
}));

test('a reader accepts the schema before its own, and refuses one that is older: exit 6', async ({
  state: { layout, directory },
}) => {
  await mkdir(directory, { recursive: true });
  const written = await openForWriting(layout, () => false);
  written.write(() => insertImage(written, imageRow({ name: 'kept' })));
  written.close();

  known.later = 1;
  const store = openForReading(layout);
  expect(store && listImages(store)).toMatchObject([{ name: 'kept' }]);
  store?.close();
  known.later = 2;
  expect(() => openForReading(layout)).toThrow(expect.objectContaining({ exitCode: 6 }));
});
