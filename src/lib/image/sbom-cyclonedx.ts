import { type SbomComponent, type SbomContent, uuidOf } from './sbom-content.ts';

// CycloneDX 1.6 in JSON (its JSON reference, bom-1.6.schema.json).

/** An image's packages as a CycloneDX document. */
export function cyclonedxDocument(content: SbomContent): object {
  const { image, created, tool, os, components } = content;
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(content, 'cyclonedx')}`,
    version: 1,
    metadata: {
      timestamp: created,
      tools: { components: [{ type: 'application', ...tool }] },
      component: {
        type: 'operating-system',
        'bom-ref': image.id,
        name: image.name,
        version: String(image.generation),
      },
    },
    components: [
      ...(os === null
        ? []
        : [
            {
              type: 'operating-system',
              'bom-ref': 'operating-system',
              name: os.id,
              ...(os.version === null ? {} : { version: os.version }),
              description: os.name,
            },
          ]),
      ...components.map(cyclonedxComponent),
    ],
    dependencies: [
      { ref: image.id, dependsOn: components.map(({ purl }) => purl) },
      ...components.map(({ purl, needs }) => ({ ref: purl, dependsOn: needs })),
    ],
  };
}

function cyclonedxComponent({
  name,
  version,
  maintainer,
  purl,
  source,
  source_version,
}: SbomComponent): object {
  return {
    type: 'library',
    'bom-ref': purl,
    ...(maintainer === null ? {} : { publisher: maintainer }),
    name,
    version,
    purl,
    properties: [
      { name: 'banger:source:name', value: source },
      { name: 'banger:source:version', value: source_version },
    ],
  };
}
