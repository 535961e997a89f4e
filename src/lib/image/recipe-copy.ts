import { posix } from 'node:path';
import { PreflightError } from '../errors.ts';
import { withVolume } from '../ext4/volume.ts';
import type { CopyStep } from '../recipe/recipe.ts';
import { oneLine } from '../text.ts';
import { changeMode } from './chmod.ts';
import { archiveOf } from './copy-archive.ts';
import { type CopyItem, itemOfEntry, itemOfInline } from './copy-item.ts';
import { type CopyPlace, Finish, type Owner, putArchive } from './guest-archive.ts';
import { askGuest } from './guest-question.ts';
import { findOwner, isNumeric, readAccounts } from './guest-users.ts';
import { selectOrigin } from './origin-source.ts';
import { nameStep, noContext, noteLeft, type StepSurroundings } from './recipe-surroundings.ts';
import { findArchives, unpackArchive } from './unpack-archive.ts';

/** What can be gone through more than once. */
type Items = Iterable<CopyItem>;

const ROOT: Owner = { uid: 0, gid: 0 };
/** Of the guest, but not of its image: each step has its own. */
const NOT_IN_IMAGE = ['dev', 'proc', 'run'];
const IS_DIRECTORY_SCRIPT = `if [ -d "$1" ]; then echo yes; fi`;

/** COPY, and ADD (Dockerfile reference; where it is silent, BuildKit's fsutil, copy/copy.go). */
export async function copyFiles(step: CopyStep, title: string, around: StepSurroundings): Promise<void> {
  const where = nameStep(step, title);
  const { from, sources, excludes, parents } = step;
  if (from.kind === 'context') {
    await copyItems(step, title, await itemsOf(step, where, around), around);
    return;
  }
  await withVolume(await around.rootfsOf(from), async (volume) => {
    const { signal, log } = around;
    const selection = await selectOrigin(volume, sources, { excludes, parents, signal, where });
    await copyItems(step, title, [...selection.items, ...step.files.map(itemOfInline)], around);
    noteLeft(`${where}: devices, FIFOs and sockets are left out`, selection.left, log);
  });
}

async function copyItems(step: CopyStep, title: string, all: Items, around: StepSurroundings): Promise<void> {
  const where = nameStep(step, title);
  const owner = step.chown === null ? null : await ownerOf(step.chown, where, around);
  const archives = step.unpack ? await findArchives(all, around) : [];
  const items = archives.length === 0 ? all : without(all, new Set(archives.map(({ index }) => index)));
  const isAny = archives.length === 0 || items[Symbol.iterator]().next().done !== true;
  if (isAny) {
    const { directory, name } = await placeOf(step, items, archives.length > 0, where, around);
    noteLost(items, directory, where, around);
    const change = (item: CopyItem): CopyItem => ({
      ...item,
      ...(owner ?? {}),
      path: name ?? item.path,
      mode: step.chmod === null ? item.mode : changeMode(step.chmod, item.mode, item.type === 'directory'),
    });
    await putItems(items, change, { directory, owner: owner ?? ROOT }, { title, where }, around);
  }
  for (const archive of archives) {
    await unpackArchive(archive, { directory: step.target, owner }, { title, where }, around);
  }
}

function without(items: Items, indices: ReadonlySet<number>): Items {
  return {
    *[Symbol.iterator]() {
      let index = -1;
      for (const item of items) {
        index += 1;
        if (!indices.has(index)) yield item;
      }
    },
  };
}

function noteLost(items: Items, directory: string, where: string, { log }: StepSurroundings): void {
  if (directory !== '/') return;
  const lost = new Set<string>();
  for (const { path } of items) {
    const [top = '', below] = path.split('/');
    if (below !== undefined && NOT_IN_IMAGE.includes(top)) lost.add(top);
  }
  for (const top of lost) log.write(`note: ${where}: what goes to /${top} is not in the image afterwards`);
}

async function ownerOf(chown: string, where: string, around: StepSurroundings): Promise<Owner> {
  const accounts = isNumeric(chown) ? { users: [], groups: [] } : await readAccounts(around);
  return findOwner(chown, accounts, where);
}

/** What the sources of a step are. */
async function itemsOf(step: CopyStep, where: string, around: StepSurroundings): Promise<Items> {
  const inline = step.files.map(itemOfInline);
  if (step.sources.length === 0) return inline;
  const { context } = around;
  if (context === null) throw noContext(where);
  const { entries } = await context.resolve(step.sources, { exclude: step.excludes, parents: step.parents });
  // One by one, each time: of a million entries no more is in memory than there has to be.
  return {
    *[Symbol.iterator]() {
      for (const entry of entries) yield itemOfEntry(entry);
      yield* inline;
    },
  };
}

/** The directory that a step copies into, and what a single file is called there when it does not keep its name. */
async function placeOf(
  { target, targetIsDirectory, parents }: CopyStep,
  items: Items,
  isUnpacked: boolean,
  where: string,
  around: StepSurroundings,
): Promise<{ directory: string; name: string | null }> {
  let sources = 0;
  let hasMore = isUnpacked;
  for (const { type, isSource } of items) {
    if (isSource) sources += 1;
    // A directory of which only something in it is copied is no source itself.
    if (type === 'directory' || !isSource) hasMore = true;
  }
  const isDirectory =
    targetIsDirectory ||
    parents ||
    hasMore ||
    target === '/' ||
    (await askGuest(IS_DIRECTORY_SCRIPT, [target], around)) !== '';
  if (isDirectory) return { directory: target, name: null };
  if (sources > 1) {
    throw new PreflightError(where, [
      {
        message: `there are ${sources} files to be copied, and ${oneLine(target)} is no directory`,
        mend: `end the target with a /`,
      },
    ]);
  }
  return { directory: posix.dirname(target), name: posix.basename(target) };
}

/** Puts items into a directory of the guest. */
async function putItems(
  items: Items,
  change: (item: CopyItem) => CopyItem,
  place: CopyPlace,
  { title, where }: { title: string; where: string },
  around: StepSurroundings,
): Promise<void> {
  const finish = new Finish();
  for (const item of items) {
    // Of a source itself the target keeps its mode (fsutil, copy.go, copyDirectory).
    if (item.path !== '') finish.add(change(item));
  }
  await putArchive(archiveOf(changedFiles(items, change)), finish, place, title, around);
  const left = await finish.attributes.set(place, title, around);
  noteLeft(`${where}: extended attributes are left out`, left, around.log);
}

function* changedFiles(items: Items, change: (item: CopyItem) => CopyItem): Generator<CopyItem> {
  for (const item of items) if (item.type !== 'directory') yield change(item);
}
