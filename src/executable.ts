import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, PreflightError } from './lib/errors.ts';
import { loadAddonWith, type SqliteAddon } from './lib/store/addon.ts';
import { unpackPrivately } from './lib/system/unpack.ts';
import { main } from './main.ts';
import type { ProgramData } from './oclif-config.ts';

/** What the single executable carries beside its code. */
export interface Cargo {
  /** Names the addon: the beginning of the SHA-256 of its bytes. */
  addonName: string;
  addon(): Uint8Array;
}

/** The program as it runs from a single file: nothing is read from beside it. */
export async function runExecutable(data: ProgramData, cargo: Cargo): Promise<void> {
  loadAddonWith((cacheDir) => loadAddon(cargo, cacheDir));
  await main(data);
}

/**
 * A shared object can only be loaded from a file. The cache keeps it; where that cannot be written, or what is in it not
 * be executed, a directory that lasts as long as the session, and at last one that does not outlive the loading.
 */
function loadAddon({ addonName, addon }: Cargo, cacheDir: string): SqliteAddon {
  const session = process.env.XDG_RUNTIME_DIR;
  const refusals: string[] = [];
  const loadFrom = (place: string): SqliteAddon | null => {
    const path = unpackPrivately(place, addonName, addon());
    if (path === null) {
      refusals.push(`${place} cannot be written, or is not this user's alone`);
      return null;
    }
    try {
      const loaded: { exports: SqliteAddon } = { exports: {} };
      process.dlopen(loaded, path);
      return loaded.exports;
    } catch (error) {
      // Mounted noexec, most likely.
      refusals.push(messageOf(error));
      return null;
    }
  };
  const loaded =
    loadFrom(cacheDir) ??
    (session?.startsWith('/') ? loadFrom(join(session, 'banger')) : null) ??
    inPassing(loadFrom, refusals);
  if (loaded !== null) return loaded;
  throw new PreflightError(
    'SQLite cannot be loaded',
    refusals.map((message) => ({
      message,
      mend: 'name a directory that may be written and executed from: BANGER_CACHE_DIR=DIR',
    })),
  );
}

/** In a directory of TMPDIR that is gone afterwards; what is loaded stays. */
function inPassing(loadFrom: (place: string) => SqliteAddon | null, refusals: string[]): SqliteAddon | null {
  let passing: string;
  try {
    passing = mkdtempSync(join(tmpdir(), 'banger-'));
  } catch (error) {
    refusals.push(messageOf(error));
    return null;
  }
  try {
    return loadFrom(passing);
  } finally {
    rmSync(passing, { recursive: true, force: true });
  }
}
