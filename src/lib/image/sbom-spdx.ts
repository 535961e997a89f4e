import { type SbomComponent, type SbomContent, uuidOf } from './sbom-content.ts';

// SPDX 2.3 in JSON (the specification's clauses 6, 7 and 11, and its annex of JSON examples).

const DOCUMENT = 'SPDXRef-DOCUMENT';
const IMAGE = 'SPDXRef-Image';
const SYSTEM = 'SPDXRef-OperatingSystem';
const UNKNOWN = 'NOASSERTION';

interface Relationship {
  spdxElementId: string;
  relationshipType: 'DESCRIBES' | 'CONTAINS' | 'DEPENDS_ON';
  relatedSpdxElement: string;
}

/** An image's packages as an SPDX document. */
export function spdxDocument(content: SbomContent): object {
  const { image, created, tool, os, components } = content;
  const ids = new Map(components.map((component) => [component.purl, idOf(component)]));
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: DOCUMENT,
    name: image.name,
    documentNamespace: `urn:uuid:${uuidOf(content, 'spdx')}`,
    creationInfo: { created, creators: [`Tool: ${tool.name}-${tool.version}`] },
    packages: [
      {
        ...unknownPackage(image.name, IMAGE),
        versionInfo: String(image.generation),
        comment: `image ${image.id}`,
      },
      ...(os === null
        ? []
        : [
            {
              ...unknownPackage(os.id, SYSTEM),
              ...(os.version === null ? {} : { versionInfo: os.version }),
              summary: os.name,
            },
          ]),
      ...components.map(spdxPackage),
    ],
    relationships: [
      related(DOCUMENT, 'DESCRIBES', IMAGE),
      ...(os === null ? [] : [related(IMAGE, 'CONTAINS', SYSTEM)]),
      ...components.map((component) => related(IMAGE, 'CONTAINS', idOf(component))),
      ...components.flatMap((component) =>
        component.needs
          .flatMap((purl) => ids.get(purl) ?? [])
          .map((other) => related(idOf(component), 'DEPENDS_ON', other)),
      ),
    ],
  };
}

function related(
  spdxElementId: string,
  relationshipType: Relationship['relationshipType'],
  relatedSpdxElement: string,
): Relationship {
  return { spdxElementId, relationshipType, relatedSpdxElement };
}

/** An identifier has letters, digits, dots and hyphens alone (clause 3.2): the rest, and dots, are told by their code. */
function idOf({ name, architecture }: SbomComponent): string {
  const word = [name, architecture].join(':');
  return `SPDXRef-Package-${word.replace(/[^A-Za-z0-9-]/gu, (character) => `.${character.codePointAt(0)?.toString(16)}`)}`;
}

/** What nobody said, said to be so. */
function unknownPackage(name: string, id: string) {
  return {
    name,
    SPDXID: id,
    downloadLocation: UNKNOWN,
    filesAnalyzed: false,
    licenseConcluded: UNKNOWN,
    licenseDeclared: UNKNOWN,
    copyrightText: UNKNOWN,
  };
}

function spdxPackage(component: SbomComponent): object {
  const { name, version, source, source_version, maintainer, purl } = component;
  return {
    ...unknownPackage(name, idOf(component)),
    versionInfo: version,
    supplier: maintainer === null ? UNKNOWN : `Person: ${supplierOf(maintainer)}`,
    sourceInfo: `built from ${source} ${source_version}`,
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }],
  };
}

/** `Name <address>` as SPDX writes it: `Name (address)`. */
function supplierOf(maintainer: string): string {
  return maintainer.replace(/<([^<>]*)>\s*$/u, '($1)');
}
