import { expect, inject } from 'vitest';
import { makeDisk, registerImage } from '../support/boot-files.ts';
import { test } from '../support/fixtures.ts';

const { user } = inject('testRun');

test('a bill of materials has the packages of an image, and is the same each time', async ({ makeHome }) => {
  const home = await makeHome(user);
  const { kernel } = await registerImage(home, 'bare');
  const rootfs = await makeDisk(home, 'disk.ext4', {
    'var/lib/dpkg/status':
      'Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\n',
    'usr/lib/os-release': 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
  });
  await home.ok(['image', 'register', 'web', '--rootfs', rootfs, '--kernel', kernel]);
  const env = { SOURCE_DATE_EPOCH: '1700000000' };
  const spdx = await home.ok(['image', 'sbom', 'web'], { env });
  const document = JSON.parse(spdx);
  expect(document).toMatchObject({
    spdxVersion: 'SPDX-2.3',
    name: 'web',
    creationInfo: { created: '2023-11-14T22:13:20Z' },
  });
  expect(document.packages.map(({ name }: { name: string }) => name)).toEqual(['web', 'debian', 'bash']);
  expect(await home.ok(['image', 'sbom', 'web', '--json'], { env })).toBe(spdx);

  const cyclonedx = await home.ok(['image', 'sbom', 'web', '--format', 'cyclonedx-json']);
  expect(JSON.parse(cyclonedx).components.at(-1)).toMatchObject({
    name: 'bash',
    purl: 'pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12',
  });
  expect(await home.ok(['image', 'sbom', 'web', '--format', 'cyclonedx-json'])).toBe(cyclonedx);

  const empty = await home.run(['image', 'sbom', 'bare', '--format', 'cyclonedx-json']);
  expect(empty).toMatchObject({
    status: 0,
    stderr: 'warning: bare has no database of packages: none is listed\n',
  });
  expect(JSON.parse(empty.stdout).components).toEqual([]);
  await home.fails(2, ['image', 'sbom', 'web', '--format', 'xml']);
});
