/** SQLite's own code as better-sqlite3 takes it: a native addon that was loaded. */
export type SqliteAddon = object;

/** Loads the addon; what has to be unpacked for it goes to `cacheDir` first of all. */
export type AddonLoader = (cacheDir: string) => SqliteAddon;

let loader: AddonLoader | undefined;
let directory: string | undefined;
let loaded: SqliteAddon | undefined;

/** For the executable, which has no node_modules to find the addon in. */
export function loadAddonWith(load: AddonLoader): void {
  loader = load;
}

/** Where the user wants cached files, known once the configuration is read. */
export function keepAddonIn(cacheDir: string): void {
  directory = cacheDir;
}

/** The addon; null where better-sqlite3 finds its own. */
export function sqliteAddon(): SqliteAddon | null {
  if (loader === undefined) return null;
  if (directory === undefined) throw new Error('the configuration is read before a database is opened');
  loaded ??= loader(directory);
  return loaded;
}
