const text = { type: 'string' };
const id = { type: 'string', pattern: '^SPDXRef-[a-zA-Z0-9.-]+$' };

/** An object of exactly these properties; the published schema closes its objects, too. */
function closed(required: Record<string, object>, optional: Record<string, object> = {}): object {
  return {
    type: 'object',
    properties: { ...required, ...optional },
    required: Object.keys(required),
    additionalProperties: false,
  };
}

const reference = closed({
  referenceCategory: { enum: ['OTHER', 'PERSISTENT-ID', 'SECURITY', 'PACKAGE-MANAGER'] },
  referenceLocator: text,
  referenceType: text,
});

/**
 * What the published JSON schemas of SPDX 2.3 and 2.3.1 (spdx/spdx-spec, schemas/spdx-schema.json) both allow, of the
 * properties that we write: no package that can be installed has the schemas themselves. `primaryPackagePurpose` is left out:
 * the one wants OPERATING_SYSTEM, the other OPERATING-SYSTEM.
 */
export const SPDX_SCHEMA = closed({
  spdxVersion: { const: 'SPDX-2.3' },
  dataLicense: { const: 'CC0-1.0' },
  SPDXID: { const: 'SPDXRef-DOCUMENT' },
  name: text,
  documentNamespace: { type: 'string', pattern: '^urn:uuid:' },
  creationInfo: closed({
    created: { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$' },
    creators: { type: 'array', minItems: 1, items: { type: 'string', pattern: '^Tool: ' } },
  }),
  packages: {
    type: 'array',
    items: closed(
      { SPDXID: id, name: text, downloadLocation: text },
      {
        comment: text,
        copyrightText: text,
        externalRefs: { type: 'array', items: reference },
        filesAnalyzed: { type: 'boolean' },
        licenseConcluded: text,
        licenseDeclared: text,
        sourceInfo: text,
        summary: text,
        supplier: { type: 'string', pattern: '^(?:NOASSERTION$|Person: .|Organization: .)' },
        versionInfo: text,
      },
    ),
  },
  relationships: {
    type: 'array',
    items: closed({
      spdxElementId: id,
      relatedSpdxElement: id,
      relationshipType: { enum: ['DESCRIBES', 'CONTAINS', 'DEPENDS_ON'] },
    }),
  },
});
