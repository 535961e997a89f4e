export const SBOM_FORMATS = ['spdx-json', 'cyclonedx-json'] as const;

/** How a bill of materials is written: SPDX 2.3 or CycloneDX 1.6, both in JSON. */
export type SbomFormat = (typeof SBOM_FORMATS)[number];
