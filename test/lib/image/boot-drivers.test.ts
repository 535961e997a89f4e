import { describe, expect, test } from 'vitest';
import { type DriverSources, driversFinding, findDrivers } from '../../../src/lib/image/boot-drivers.ts';

const NOTHING: DriverSources = {
  builtin: null,
  config: null,
  marks: new Set(),
  initrd: new Set(),
  isInitrdKnown: true,
};

function statusOf(sources: Partial<DriverSources>): [status: string, detail: string] {
  const { status, detail } = driversFinding(findDrivers({ ...NOTHING, ...sources }), true, 'mend');
  return [status, detail];
}

const CONFIG = 'CONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_MMIO=y\nCONFIG_EXT4_FS=y\n';

describe('the drivers of a boot', () => {
  test('are built in, or in the initrd, or some here and some there', () => {
    const all = ['virtio_blk', 'virtio_mmio', 'ext4'];
    expect(statusOf({ builtin: new Set(all) })[0]).toBe('ok');
    expect(statusOf({ builtin: new Set(), initrd: new Set(all) })[0]).toBe('ok');
    expect(statusOf({ builtin: new Set(['ext4']), initrd: new Set(['virtio_blk', 'virtio_pci']) })).toEqual([
      'ok',
      'virtio_blk in the initrd, virtio_pci in the initrd, ext4 built in',
    ]);
    expect(statusOf({ config: CONFIG })[0]).toBe('ok');
    expect(statusOf({ marks: new Set(['virtio_blk\0', 'virtio-mmio\0', 'EXT4-fs (%s): ']) })[0]).toBe('ok');
  });

  test('are missed only where that is certain', () => {
    expect(statusOf({ builtin: new Set(['ext4', 'virtio_pci']) })).toEqual([
      'fail',
      'virtio_blk: neither built into the kernel nor in the initrd (virtio_pci built in, ext4 built in)',
    ]);
    expect(statusOf({ config: CONFIG.replace('EXT4_FS=y', 'EXT4_FS=m') })[0]).toBe('fail');
    expect(statusOf({})[0]).toBe('warn');
    expect(statusOf({ builtin: new Set(), isInitrdKnown: false })[0]).toBe('warn');
    expect(statusOf({ marks: new Set(['EXT4-fs (%s): ']) })[0]).toBe('warn');
  });
});
