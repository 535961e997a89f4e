import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { withVolume } from '../../../src/lib/ext4/volume.ts';
import { comparePackages } from '../../../src/lib/image/package-changes.ts';
import { type PackageDatabase, readPackages } from '../../../src/lib/image/package-database.ts';
import { makeRootfs } from '../../support/images.ts';

const directory = mkdtempSync(join(tmpdir(), 'package-database-'));
afterAll(() => rmSync(directory, { recursive: true }));

async function packagesIn(files: Record<string, string>): Promise<PackageDatabase | null> {
  const image = await makeRootfs(join(directory, 'image'), { sizeMiB: 16, files });
  return withVolume(image, readPackages);
}

const STATUS = `Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.example>
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.36-9
Depends: libgcc-s1, libcrypt1 (>= 1:4.4.10-10~)
Description: GNU C Library: Shared libraries
 Contains the standard libraries.
 Version: of the text, no field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: bash
Essential: yes
Status: install ok half-configured
Architecture: amd64
Source: bash-source (5.2-1)
Version: 5.2-1+b2
Pre-Depends: libc6 (>= 2.36) | libc6.1:any, libtinfo6
Provides: sh, shell (= 5)
`;

test('of dpkg: what is there, its source and what it needs', async () => {
  const database = await packagesIn({ 'var/lib/dpkg/status': STATUS });
  expect(database).toEqual({
    kind: 'dpkg',
    packages: [
      {
        name: 'bash',
        version: '5.2-1+b2',
        architecture: 'amd64',
        source: 'bash-source',
        source_version: '5.2-1',
        maintainer: null,
        depends: [['libc6', 'libc6.1'], ['libtinfo6']],
        provides: ['sh', 'shell'],
      },
      {
        name: 'libc6',
        version: '2.36-9',
        architecture: 'amd64',
        source: 'glibc',
        source_version: '2.36-9',
        maintainer: 'GNU Libc Maintainers <debian-glibc@lists.example>',
        depends: [['libgcc-s1'], ['libcrypt1']],
        provides: [],
      },
    ],
  });
});

test('of an image without dpkg, from the parts of its status', async () => {
  const database = await packagesIn({
    'var/lib/dpkg/status.d/base': 'Package: base-files\nVersion: 12\nArchitecture: all\n',
    'var/lib/dpkg/status.d/base.md5sums': 'Package: none\nVersion: 1\n',
  });
  expect(database?.packages.map(({ name }) => name)).toEqual(['base-files']);
});

test('of apk', async () => {
  const database = await packagesIn({
    'lib/apk/db/installed':
      'C:Q1x\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nm:Somebody\nD:!libc so:a.so.1 busybox>=1\np:so:libc=1 cmd:ldd=1\nF:lib\n\nP:zlib\nV:1.3-r0\nA:x86_64\n',
  });
  expect(database?.kind).toBe('apk');
  expect(database?.packages).toMatchObject([
    {
      name: 'musl',
      version: '1.2.5-r0',
      depends: [['so:a.so.1'], ['busybox']],
      provides: ['so:libc', 'cmd:ldd'],
    },
    { name: 'zlib', source: 'zlib', maintainer: null },
  ]);
});

test('of an image without packages there is none', async () => {
  expect(await packagesIn({})).toBeNull();
});

test('what became of packages is told by name and architecture', () => {
  const database = (...packages: [string, string, string][]): PackageDatabase => ({
    kind: 'dpkg',
    packages: packages.map(([name, architecture, version]) => ({
      ...{ name, architecture, version, source: name, source_version: version },
      ...{ maintainer: null, depends: [], provides: [] },
    })),
  });
  const from = database(['a', 'amd64', '1'], ['a', 'i386', '1'], ['b', 'all', '1']);
  const to = database(['a', 'amd64', '2'], ['a', 'i386', '1'], ['c', 'all', '1']);
  expect(comparePackages(from, to)).toEqual({
    added: [{ name: 'c', architecture: 'all', from_version: null, to_version: '1' }],
    removed: [{ name: 'b', architecture: 'all', from_version: '1', to_version: null }],
    changed: [{ name: 'a', architecture: 'amd64', from_version: '1', to_version: '2' }],
  });
  expect(comparePackages(null, from).added).toHaveLength(3);
});
