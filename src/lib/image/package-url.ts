import type { OsRelease } from './os-release.ts';
import type { InstalledPackage, PackageDatabase } from './package-database.ts';

/** By database: the type of its packages, and whose they are where the image does not say. */
const TYPES = { dpkg: { type: 'deb', owner: 'debian' }, apk: { type: 'apk', owner: 'alpine' } } as const;

/**
 * The package URL by which a package is known to scanners (the purl specification and its types deb and apk):
 * `pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12`.
 */
export function packageUrl(
  { name, version, architecture }: InstalledPackage,
  kind: PackageDatabase['kind'],
  os: OsRelease | null,
): string {
  const { type, owner } = TYPES[kind];
  const qualifiers = [
    ...(architecture === '' ? [] : [`arch=${encode(architecture)}`]),
    ...(os === null ? [] : [`distro=${encode([os.id, os.version ?? []].flat().join('-'))}`]),
  ];
  const path = [type, encode((os?.id ?? owner).toLowerCase()), encode(name.toLowerCase())].join('/');
  return `pkg:${path}@${encode(version)}${qualifiers.length === 0 ? '' : `?${qualifiers.join('&')}`}`;
}

/** All but letters, digits, `.-_~` and the colon. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replaceAll('%3A', ':')
    .replace(/[!'()*]/gu, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
