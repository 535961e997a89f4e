import { describe, expect, test } from 'vitest';
import { parseFstab } from '../../../src/lib/image/fstab.ts';
import { type FstabGround, fstabFaults } from '../../../src/lib/image/fstab-faults.ts';

const ROOT_UUID = '6c0a8f0e-0d0c-4c55-9a3f-2f4f0d1c2b3a';
const GROUND: FstabGround = {
  rootfs: { uuid: ROOT_UUID, label: 'rootfs' },
  workSeed: { uuid: 'b1a7c6de-2f64-4a12-8a51-6e5d7a0f9e11', label: 'work-seed' },
  isThere: (path) => ['/srv', '/srv/data', '/swapfile'].includes(path),
};

function faults(text: string, ground: Partial<FstabGround> = {}) {
  return fstabFaults(parseFstab(text), { ...GROUND, ...ground });
}

describe('an fstab', () => {
  test('is read as mount(8) reads it', () => {
    expect(
      parseFstab('# none\n\n \t/dev/vda / ext4 rw,noatime 0 1 # more\nx /with\\040blank\ttmpfs'),
    ).toEqual({
      malformed: [],
      entries: [
        { line: 3, source: '/dev/vda', target: '/', type: 'ext4', options: ['rw', 'noatime'] },
        { line: 4, source: 'x', target: '/with blank', type: 'tmpfs', options: ['defaults'] },
      ],
    });
  });

  test.for([
    '/dev/vda',
    '/dev/vda /',
    '/dev/vda mnt ext4',
    '/dev/vda / ext4 defaults x 1',
    '/dev/vda / ext4 defaults 0 0\r',
  ])('has a line that is ignored: %j', (line) => {
    expect(faults(`# first\n${line}`)).toEqual([
      { line: 2, stopsBoot: false, detail: expect.stringContaining('ignored') },
    ]);
  });

  test.for([
    '/dev/vda / ext4 defaults 0 1',
    '/dev/root / auto',
    'LABEL=rootfs / ext4 errors=remount-ro 0 1',
    `UUID="${ROOT_UUID}" / ext4`,
    `/dev/disk/by-uuid/${ROOT_UUID} / ext4`,
    'LABEL=work-seed /root ext4',
    '/dev/vdb /root ext4 nofail',
    'LABEL=other /mnt xfs nofail',
    '/dev/sdb1 /mnt xfs noauto',
    'UUID=other /mnt xfs x-systemd.automount',
    'server:/share /mnt nfs _netdev',
    'server:/share /mnt nfs ro,nofail',
    '//server/share /mnt cifs noauto',
    'proc /proc proc',
    'tmpfs /tmp tmpfs size=1G',
    'none /sys/fs/bpf bpf',
    '/srv/data /mnt none bind',
    '/run/x /mnt none bind',
    '/srv/data /mnt none bind\n/mnt/below /other none bind',
    '/swapfile none swap sw 0 0',
    'overlay /mnt overlay lowerdir=/a',
  ])('does not stop a boot with %s', (text) => expect(faults(text)).toEqual([]));

  test.for([
    ['LABEL=data /data ext4', 'waits for LABEL=data'],
    ['LABEL= /data ext4', 'waits for LABEL='],
    ['UUID=11111111-2222 / ext4', 'waits for UUID=11111111-2222'],
    [`UUID=${ROOT_UUID.toUpperCase()} / ext4`, 'waits for UUID='],
    ['PARTUUID=01 /boot vfat', 'waits for PARTUUID=01'],
    ['/dev/disk/by-label/data /data ext4', 'waits for /dev/disk/by-label/data'],
    ['/dev/disk/by-id/data /data ext4', 'waits for /dev/disk/by-id/data'],
    ['/dev/vdc /data ext4', 'waits for /dev/vdc'],
    ['/dev/vda1 / ext4', 'waits for /dev/vda1'],
    ['/dev/sda2 none swap sw', 'waits for /dev/sda2'],
    ['server:/share /mnt nfs', 'over the network'],
    ['tag /mnt virtiofs', 'of the host'],
    ['/srv/gone /mnt none bind', 'which is not there'],
    ['/gone.img /mnt ext4 loop', 'which is not there'],
    ['LABEL=rootfs /again xfs', 'but it is ext4'],
    ['/dev/vdb / ext4', 'the work seed for the root'],
    ['LABEL=\x1b[31mred /mnt ext4', 'waits for LABEL=red,'],
  ])('stops a boot with %s', ([text = '', detail]) => {
    expect(faults(text)).toEqual([
      { line: 1, stopsBoot: true, detail: expect.stringContaining(detail ?? '') },
    ]);
  });

  test('may hide the work seed', () => {
    const detail = expect.stringContaining('where the work seed belongs');
    for (const text of ['tmpfs /root tmpfs', 'LABEL=rootfs /root ext4', 'LABEL=home /root ext4 nofail']) {
      expect(faults(text)).toEqual([{ line: 1, stopsBoot: false, detail }]);
      expect(faults(text, { workSeed: null })).toEqual([]);
    }
  });

  test('asks for a work seed that the image does not have', () => {
    expect(faults('LABEL=work-seed /root ext4', { workSeed: null })).toMatchObject([{ stopsBoot: true }]);
    expect(faults('/dev/vdb /root ext4', { workSeed: null })).toMatchObject([{ stopsBoot: true }]);
    expect(faults('/dev/vdb /root ext4 nofail', { workSeed: null })).toEqual([]);
  });
});
