import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deleteImages } from '../../../src/lib/image/delete.ts';
import { layoutOf } from '../../../src/lib/layout.ts';
import { Operation } from '../../../src/lib/operation.ts';
import { insertImage, listImages } from '../../../src/lib/store/images.ts';
import { openForReading } from '../../../src/lib/store/open.ts';
import { buildPlan, imageRow } from '../plans.ts';
import { open, say, work } from './protocol.ts';

const [, , stateDir = '', others = ''] = process.argv;
const layout = layoutOf(stateDir);
const filling = join(stateDir, 'filling');

/** Writes until not one byte more is taken. */
function fillDisk(): void {
  const file = openSync(filling, 'a');
  for (const size of [1 << 20, 1 << 16, 4096, 1]) {
    try {
      while (writeSync(file, Buffer.alloc(size, 7)) === size);
    } catch {
      // Full, for writes of this size.
    }
  }
  closeSync(file);
  const { bavail, bsize } = statfsSync(stateDir);
  say(`full: ${bavail * bsize} bytes free`);
}

async function addImage(): Promise<string> {
  const workspace = await open(stateDir);
  const { image } = buildPlan(layout, 'doomed');
  const { store } = workspace;
  const directory = image.artifact_dir ?? '';
  mkdirSync(directory);
  writeFileSync(join(directory, 'kernel'), 'x');
  store.write(() => insertImage(store, image));
  workspace.close();
  return directory;
}

/** What somebody finds who opens the registry after this process is gone: a copy, its log replayed. */
function imagesAfterDeath(): number {
  const elsewhere = mkdtempSync(join(tmpdir(), 'banger-core-copy-'));
  try {
    for (const suffix of ['', '-wal'])
      copyFileSync(layout.database + suffix, join(elsewhere, `banger.db${suffix}`));
    const store = openForReading(layoutOf(elsewhere));
    const { length } = store ? listImages(store) : [];
    store?.close();
    return length;
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
}

await work(async () => {
  if (others === 'unreserved') {
    const { store } = await open(stateDir);
    rmSync(layout.reserve);
    fillDisk();
    try {
      for (;;) store.write(() => insertImage(store, imageRow()));
    } catch (error) {
      const { length } = listImages(store);
      say(`stopped after ${length === imagesAfterDeath() ? 'what is there' : 'others than are there'}`);
      throw error;
    }
  }
  if (others === 'first') {
    fillDisk();
    await open(stateDir);
    return;
  }
  const directory = await addImage();
  const reader = others === 'read' ? openForReading(layout) : null;
  if (reader) listImages(reader);
  const builder = others === 'built' ? await open(stateDir) : null;
  if (builder) await Operation.begin(builder, () => buildPlan(layout, 'other'));
  fillDisk();
  say(`reserve ${statSync(layout.reserve).size}`);
  const listing = openForReading(layout);
  say(`listed ${listing && listImages(listing).length}`);
  listing?.close();
  const workspace = await open(stateDir);
  const deleted = await deleteImages(workspace, ['doomed'], { purge: false });
  workspace.close();
  say(`deleted ${deleted.length}: ${existsSync(directory) ? readdirSync(directory) : 'no directory left'}`);
  say(existsSync(layout.reserve) ? 'reserve taken back' : 'reserve gone');
  rmSync(filling);
  (await open(stateDir)).close();
  say(`reserve ${statSync(layout.reserve).size} again`);
  reader?.close();
  builder?.close();
});
process.exit();
