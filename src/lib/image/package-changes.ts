import type { InstalledPackage, PackageDatabase } from './package-database.ts';

/** A package that is not the same in two images. */
export interface PackageChange {
  name: string;
  architecture: string;
  /** Null where it was added. */
  from_version: string | null;
  /** Null where it was removed. */
  to_version: string | null;
}

export interface PackageChanges {
  added: PackageChange[];
  removed: PackageChange[];
  changed: PackageChange[];
}

/** What became of the packages of one image in another; an image without a database of them has none. */
export function comparePackages(from: PackageDatabase | null, to: PackageDatabase | null): PackageChanges {
  const [before, after] = [byKey(from), byKey(to)];
  const changes: PackageChanges = { added: [], removed: [], changed: [] };
  for (const key of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, now] = [before.get(key), after.get(key)];
    const one = old ?? now;
    if (one === undefined || old?.version === now?.version) continue;
    const { name, architecture } = one;
    const change = {
      name,
      architecture,
      from_version: old?.version ?? null,
      to_version: now?.version ?? null,
    };
    changes[old === undefined ? 'added' : now === undefined ? 'removed' : 'changed'].push(change);
  }
  return changes;
}

function byKey(database: PackageDatabase | null): Map<string, InstalledPackage> {
  return new Map(database?.packages.map((one) => [`${one.name}\0${one.architecture}`, one]));
}
