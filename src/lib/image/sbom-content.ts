import { createHash } from 'node:crypto';
import type { OsRelease } from './os-release.ts';
import type { InstalledPackage, PackageDatabase } from './package-database.ts';
import { dependenciesOf } from './package-dependencies.ts';
import { packageUrl } from './package-url.ts';

/** What goes into a bill of materials, whatever its format. */
export interface SbomContent {
  image: { id: string; name: string; generation: number };
  /** ISO 8601, UTC, whole seconds. */
  created: string;
  /** Of the program that writes it. */
  tool: { name: string; version: string };
  os: OsRelease | null;
  components: readonly SbomComponent[];
}

export interface SbomComponent extends Omit<InstalledPackage, 'depends' | 'provides'> {
  purl: string;
  /** Purls of others that it needs. */
  needs: readonly string[];
}

export function componentsOf(database: PackageDatabase | null, os: OsRelease | null): SbomComponent[] {
  if (database === null) return [];
  const urls = new Map(database.packages.map((one) => [one, packageUrl(one, database.kind, os)]));
  return [...dependenciesOf(database.packages)].map(([one, needed]) => {
    const { depends: _, provides: __, ...rest } = one;
    return { ...rest, purl: urls.get(one) ?? '', needs: needed.flatMap((other) => urls.get(other) ?? []) };
  });
}

/** A UUID of the content, always the same for the same: of version 8, whose bits are its maker's (RFC 9562, section 5.8). */
export function uuidOf(content: SbomContent, format: string): string {
  const bytes = createHash('sha256')
    .update(JSON.stringify([format, content]))
    .digest()
    .subarray(0, 16);
  bytes.writeUInt8(0x80 | (bytes.readUInt8(6) & 0x0f), 6);
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5');
}
