import { withVolume } from '../ext4/volume.ts';
import { oneLine } from '../text.ts';
import type { Readings } from '../workspace.ts';
import { findImage } from './find.ts';
import { readOsRelease } from './os-release.ts';
import { readPackages } from './package-database.ts';
import { componentsOf, type SbomContent } from './sbom-content.ts';
import { cyclonedxDocument } from './sbom-cyclonedx.ts';
import type { SbomFormat } from './sbom-formats.ts';
import { spdxDocument } from './sbom-spdx.ts';
import { sourceDate } from './source-date.ts';

const WRITERS: Readonly<Record<SbomFormat, (content: SbomContent) => object>> = {
  'spdx-json': spdxDocument,
  'cyclonedx-json': cyclonedxDocument,
};

export interface Sbom {
  document: object;
  /** What its reader should know of it, or null. */
  warning: string | null;
}

/**
 * The bill of materials of an image: the packages that its own database says are installed. The same for the same image:
 * its time is SOURCE_DATE_EPOCH, else the image's.
 * @throws BangerError `not_found` or `usage`, as findImage; `corrupt`; `preflight_failed` for what cannot be read
 */
export function sbomOf(
  { store }: Pick<Readings, 'store'>,
  { ref, format, toolVersion }: { ref: string; format: SbomFormat; toolVersion: string },
): Promise<Sbom> {
  const { id, name, generation, created_at, rootfs_path } = findImage(store, ref);
  const seconds = sourceDate();
  const created = new Date(seconds === null ? Date.parse(created_at) : seconds * 1000);
  return withVolume(rootfs_path, (volume) => {
    const database = readPackages(volume);
    const os = readOsRelease(volume);
    const document = WRITERS[format]({
      image: { id, name, generation },
      created: created.toISOString().replace(/\.\d+Z$/u, 'Z'),
      tool: { name: 'banger', version: toolVersion },
      os,
      components: componentsOf(database, os),
    });
    const warning = database === null ? `${oneLine(name)} has no database of packages: none is listed` : null;
    return { document, warning };
  });
}
