import { loadConfig } from './config.ts';
import { sqliteVersion } from './store/sqlite.ts';
import { findTool, toolVersion } from './system/preflight.ts';
import { formatPairs } from './table.ts';

/** Put in when the executable is built. */
declare const BANGER_COMMIT: string | undefined;

/** What the program is made of, and what it was built from. */
export interface Versions {
  version: string;
  /** Null where the program was not built as an executable. */
  commit: string | null;
  node: string;
  sqlite: string;
  /** Of the mke2fs that is found; null where there is none. */
  e2fsprogs: string | null;
  platform: string;
}

export async function versionsOf(version: string): Promise<Versions> {
  // It says where SQLite may be unpacked.
  await loadConfig({});
  return {
    version,
    commit: typeof BANGER_COMMIT === 'undefined' ? null : BANGER_COMMIT,
    node: process.versions.node,
    sqlite: sqliteVersion(),
    e2fsprogs: (await findTool('mke2fs')) === null ? null : await toolVersion('mke2fs', ['-V']),
    platform: `${process.platform}-${process.arch}`,
  };
}

export function versionReport({ version, commit, node, sqlite, e2fsprogs, platform }: Versions): string {
  return formatPairs([
    ['banger', version],
    ['commit', commit ?? 'not built as an executable'],
    ['Node', node],
    ['SQLite', sqlite],
    ['e2fsprogs', e2fsprogs ?? 'not installed'],
    ['platform', platform],
  ]);
}
