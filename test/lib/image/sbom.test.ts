import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import type { InstalledPackage, PackageDatabase } from '../../../src/lib/image/package-database.ts';
import { packageUrl } from '../../../src/lib/image/package-url.ts';
import { componentsOf, type SbomContent } from '../../../src/lib/image/sbom-content.ts';
import { cyclonedxDocument } from '../../../src/lib/image/sbom-cyclonedx.ts';
import { spdxDocument } from '../../../src/lib/image/sbom-spdx.ts';
import { SPDX_SCHEMA } from '../../support/spdx-schema.ts';

const DEBIAN = { id: 'debian', version: '12', name: 'Debian GNU/Linux 12 (bookworm)' };

function debian(name: string, more: Partial<InstalledPackage> = {}): InstalledPackage {
  return {
    ...{ name, version: '1.0-1', architecture: 'amd64', source: name, source_version: '1.0-1' },
    ...{ maintainer: 'Some Body <some@body.example>', depends: [], provides: [] },
    ...more,
  };
}

const DATABASE: PackageDatabase = {
  kind: 'dpkg',
  packages: [
    debian('libc6', { version: '2.36-9+deb12u9', source: 'glibc' }),
    debian('libc6', { architecture: 'i386' }),
    debian('g++', {
      version: '4:12.2.0-3',
      depends: [['libc6'], ['gcc', 'mawk'], ['absent']],
      maintainer: null,
    }),
    debian('mawk', { provides: ['awk'], depends: [['libc6']] }),
    debian('base', { architecture: 'all', depends: [['awk'], ['base']] }),
  ],
};

function content(
  database: PackageDatabase | null = DATABASE,
  os: typeof DEBIAN | null = DEBIAN,
): SbomContent {
  return {
    image: { id: 'c8cf4c8777562ce40fc41fe1c5fbb753', name: 'web', generation: 3 },
    created: '2026-01-02T03:04:05Z',
    tool: { name: 'banger', version: '0.1.0' },
    os,
    components: componentsOf(database, os),
  };
}

const CONTENTS: readonly (readonly [what: string, content: SbomContent])[] = [
  ['of Debian packages', content()],
  ['of an image that says nothing of itself', content(DATABASE, null)],
  ['of an image without packages', content(null)],
  [
    'of names that only somebody who means no good would choose',
    content({
      kind: 'dpkg',
      packages: [debian('a\u0000/../b"?@\ud800', { version: '\n:', maintainer: '<x@' })],
    }),
  ],
];

test.for([
  [
    debian('g++', { version: '4:12.2.0-3~x+b1' }),
    'pkg:deb/debian/g%2B%2B@4:12.2.0-3~x%2Bb1?arch=amd64&distro=debian-12',
  ],
  [debian('a', { architecture: '' }), 'pkg:deb/debian/a@1.0-1?distro=debian-12'],
] as const)('%o has a package URL', ([one, url]) => {
  expect(packageUrl(one, 'dpkg', DEBIAN)).toBe(url);
});

test('packages of apk, and of a system that does not say what it is', () => {
  expect(packageUrl(debian('musl'), 'apk', null)).toBe('pkg:apk/alpine/musl@1.0-1?arch=amd64');
});

describe('CycloneDX', () => {
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);

  test.for(CONTENTS)('a document %s is valid by the published schema', async ([, one]) => {
    expect(await validator.validate(JSON.stringify(cyclonedxDocument(one)))).toBeNull();
  });

  test('would be found out if it were not', async () => {
    const document = { ...cyclonedxDocument(content()), serialNumber: '7' };
    expect(await validator.validate(JSON.stringify(document))).not.toBeNull();
  });

  test('tells which packages need which', () => {
    const { dependencies } = cyclonedxDocument(content()) as {
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    const names = Object.fromEntries(
      dependencies.map(({ ref, dependsOn }) => [nameOf(ref), dependsOn.map(nameOf)]),
    );
    expect(names).toMatchObject({
      'g%2B%2B': ['libc6@2.36-9%2Bdeb12u9', 'mawk@1.0-1'].map((one) => one.split('@')[0]),
      base: ['mawk'],
      mawk: ['libc6'],
    });
  });
});

function nameOf(purl: string): string {
  return /^pkg:deb\/[a-z]+\/([^@]+)@/u.exec(purl)?.[1] ?? purl;
}

interface Spdx {
  SPDXID: string;
  documentNamespace: string;
  packages: { SPDXID: string; name: string; externalRefs?: { referenceLocator: string }[] }[];
  relationships: { spdxElementId: string; relationshipType: string; relatedSpdxElement: string }[];
}

describe('SPDX', () => {
  const isValid = new Ajv({ allErrors: true }).compile(SPDX_SCHEMA);

  test.for(CONTENTS)('a document %s is valid by what the published schemas say', ([, one]) => {
    isValid(spdxDocument(one));
    expect(isValid.errors).toBeNull();
  });

  test('would be found out if it were not', () => {
    expect(isValid({ ...spdxDocument(content()), created: '2026-01-02T03:04:05Z' })).toBe(false);
  });

  test.for(CONTENTS)('a document %s refers to what it holds, each by one identifier', ([, one]) => {
    const document = spdxDocument(one) as Spdx;
    const ids = [document.SPDXID, ...document.packages.map(({ SPDXID }) => SPDXID)];
    // Clause 3.2: letters, digits, dots and hyphens.
    for (const id of ids) expect(id).toMatch(/^SPDXRef-[A-Za-z0-9.-]+$/u);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { spdxElementId, relatedSpdxElement } of document.relationships) {
      expect(ids).toContain(spdxElementId);
      expect(ids).toContain(relatedSpdxElement);
    }
    expect(document.relationships[0]).toEqual({
      spdxElementId: 'SPDXRef-DOCUMENT',
      relationshipType: 'DESCRIBES',
      relatedSpdxElement: 'SPDXRef-Image',
    });
    expect(document.documentNamespace).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u,
    );
  });

  test('a package is told in full', () => {
    const { packages } = spdxDocument(content()) as Spdx;
    expect(packages.find(({ name }) => name === 'libc6')).toEqual({
      name: 'libc6',
      SPDXID: 'SPDXRef-Package-libc6.3aamd64',
      versionInfo: '2.36-9+deb12u9',
      supplier: 'Person: Some Body (some@body.example)',
      sourceInfo: 'built from glibc 1.0-1',
      downloadLocation: 'NOASSERTION',
      filesAnalyzed: false,
      licenseConcluded: 'NOASSERTION',
      licenseDeclared: 'NOASSERTION',
      copyrightText: 'NOASSERTION',
      externalRefs: [
        {
          referenceCategory: 'PACKAGE-MANAGER',
          referenceType: 'purl',
          referenceLocator: 'pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12',
        },
      ],
    });
  });
});

test('the same content is the same document, another one another', () => {
  const serial = (one: SbomContent): unknown =>
    (cyclonedxDocument(one) as { serialNumber: unknown }).serialNumber;
  expect(serial(content())).toBe(serial(content()));
  expect(serial({ ...content(), created: '2026-01-02T03:04:06Z' })).not.toBe(serial(content()));
});
