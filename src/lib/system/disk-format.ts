import { formatBytes } from '../text.ts';
import { openRegular, type RegularFile } from './regular-file.ts';
import { parseSuperblock, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET, type Superblock } from './superblock.ts';

export type ForeignKind =
  | 'btrfs'
  | 'bzip2'
  | 'cpio'
  | 'cramfs'
  | 'elf'
  | 'erofs'
  | 'exfat'
  | 'f2fs'
  | 'fat'
  | 'gpt'
  | 'gzip'
  | 'html'
  | 'iso9660'
  | 'kernel'
  | 'luks'
  | 'lvm'
  | 'lz4'
  | 'mbr'
  | 'ntfs'
  | 'pointer'
  | 'qcow2'
  | 'qed'
  | 'squashfs'
  | 'swap'
  | 'tar'
  | 'vdi'
  | 'vhd'
  | 'vhdx'
  | 'vmdk'
  | 'xfs'
  | 'xz'
  | 'zip'
  | 'zstd';

/** What a file is. `description` is a phrase with its article, to stand after "is": `a qcow2 disk image`. */
export type DiskFormat =
  | { kind: 'ext4' | 'ext3' | 'ext2'; description: string; superblock: Superblock }
  | { kind: 'empty' | 'truncated' | 'damaged' | 'unknown' | ForeignKind; description: string };

interface Signature {
  kind: ForeignKind;
  description: string;
  /** Bytes from the file's beginning. */
  offset: number;
  /** One character a byte. */
  magic: string;
}

/**
 * In the order in which they win. Sources: libblkid's superblock probes and file(1)'s magic, unless another is named.
 * An ISO may carry an MBR too (isohybrid), a kernel has an MBR's last two bytes, a GPT has a protective MBR.
 */
const SIGNATURES: readonly Signature[] = [
  // QEMU, docs/interop/qcow2.rst and qed_spec.rst
  { kind: 'qcow2', description: 'a qcow2 disk image', offset: 0, magic: 'QFI\xfb' },
  { kind: 'qed', description: 'a QED disk image', offset: 0, magic: 'QED\0' },
  // VMware, Virtual Disk Format 5.0: sparse extent, old sparse extent, descriptor
  { kind: 'vmdk', description: 'a VMDK disk image', offset: 0, magic: 'KDMV' },
  { kind: 'vmdk', description: 'a VMDK disk image', offset: 0, magic: 'COWD' },
  { kind: 'vmdk', description: 'a VMDK descriptor', offset: 0, magic: '# Disk DescriptorFile' },
  { kind: 'vdi', description: 'a VirtualBox disk image', offset: 0x40, magic: '\x7f\x10\xda\xbe' },
  { kind: 'vhd', description: 'a VHD disk image', offset: 0, magic: 'conectix' },
  { kind: 'vhdx', description: 'a VHDX disk image', offset: 0, magic: 'vhdxfile' },
  { kind: 'squashfs', description: 'a squashfs filesystem', offset: 0, magic: 'hsqs' },
  { kind: 'squashfs', description: 'a squashfs filesystem', offset: 0, magic: 'sqsh' },
  { kind: 'cramfs', description: 'a cramfs filesystem', offset: 0, magic: 'E=\xcd(' },
  { kind: 'xfs', description: 'an XFS filesystem', offset: 0, magic: 'XFSB' },
  { kind: 'erofs', description: 'an EROFS filesystem', offset: 1024, magic: '\xe2\xe1\xf5\xe0' },
  { kind: 'f2fs', description: 'an F2FS filesystem', offset: 1024, magic: '\x10\x20\xf5\xf2' },
  { kind: 'btrfs', description: 'a btrfs filesystem', offset: 0x10040, magic: '_BHRfS_M' },
  { kind: 'iso9660', description: 'an ISO 9660 CD image', offset: 0x8001, magic: 'CD001' },
  { kind: 'luks', description: 'a LUKS encrypted disk', offset: 0, magic: 'LUKS\xba\xbe' },
  { kind: 'lvm', description: 'an LVM physical volume', offset: 512, magic: 'LABELONE' },
  { kind: 'swap', description: 'a swap area', offset: 4086, magic: 'SWAPSPACE2' },
  { kind: 'fat', description: 'a FAT filesystem', offset: 0x36, magic: 'FAT12   ' },
  { kind: 'fat', description: 'a FAT filesystem', offset: 0x36, magic: 'FAT16   ' },
  { kind: 'fat', description: 'a FAT filesystem', offset: 0x52, magic: 'FAT32   ' },
  { kind: 'exfat', description: 'an exFAT filesystem', offset: 3, magic: 'EXFAT   ' },
  { kind: 'ntfs', description: 'an NTFS filesystem', offset: 3, magic: 'NTFS    ' },
  // UEFI specification, section 5.3: in the second sector, of 512 or of 4096 bytes
  { kind: 'gpt', description: 'a disk with a GPT partition table', offset: 512, magic: 'EFI PART' },
  { kind: 'gpt', description: 'a disk with a GPT partition table', offset: 4096, magic: 'EFI PART' },
  // Linux, Documentation/arch/x86/boot.rst and Documentation/arch/arm64/booting.rst
  { kind: 'kernel', description: 'a Linux kernel', offset: 0x202, magic: 'HdrS' },
  { kind: 'kernel', description: 'a Linux kernel', offset: 56, magic: 'ARM\x64' },
  { kind: 'gzip', description: 'a gzip-compressed file', offset: 0, magic: '\x1f\x8b' },
  { kind: 'xz', description: 'an xz-compressed file', offset: 0, magic: '\xfd7zXZ\0' },
  { kind: 'zstd', description: 'a zstd-compressed file', offset: 0, magic: '\x28\xb5\x2f\xfd' },
  { kind: 'bzip2', description: 'a bzip2-compressed file', offset: 0, magic: 'BZh' },
  { kind: 'lz4', description: 'an lz4-compressed file', offset: 0, magic: '\x04\x22\x4d\x18' },
  { kind: 'lz4', description: 'an lz4-compressed file', offset: 0, magic: '\x02\x21\x4c\x18' },
  { kind: 'zip', description: 'a zip archive', offset: 0, magic: 'PK\x03\x04' },
  { kind: 'tar', description: 'a tar archive', offset: 257, magic: 'ustar' },
  { kind: 'cpio', description: 'a cpio archive (an initramfs?)', offset: 0, magic: '070701' },
  { kind: 'cpio', description: 'a cpio archive (an initramfs?)', offset: 0, magic: '070702' },
  { kind: 'cpio', description: 'a cpio archive', offset: 0, magic: '070707' },
  { kind: 'cpio', description: 'a cpio archive', offset: 0, magic: '\xc7\x71' },
  { kind: 'elf', description: 'an ELF file (a program or a kernel)', offset: 0, magic: '\x7fELF' },
  { kind: 'html', description: 'a web page (a failed download?)', offset: 0, magic: '<!DOCTYPE' },
  { kind: 'html', description: 'a web page (a failed download?)', offset: 0, magic: '<!doctype' },
  { kind: 'html', description: 'a web page (a failed download?)', offset: 0, magic: '<html' },
  { kind: 'pointer', description: 'a Git LFS pointer', offset: 0, magic: 'version https://git-lfs' },
];

/** Holds every signature but those of ISO 9660 and btrfs, which are read where they are. */
const HEAD_BYTES = 4608;
/** Where a fixed VHD has its only mark: in the footer, this far from the end (Virtual Hard Disk specification 1.0). */
const VHD_FOOTER_BYTES = 512;

function hasMagic(file: RegularFile, head: Buffer, { offset, magic }: Signature): boolean {
  const wanted = Buffer.from(magic, 'latin1');
  const end = offset + wanted.length;
  const bytes = end <= HEAD_BYTES ? head.subarray(offset, end) : file.readAt(offset, wanted.length);
  return bytes.equals(wanted);
}

/** A partition table needs more than its two last bytes: boot sectors of filesystems and kernels end so too. */
function hasPartitions(head: Buffer): boolean {
  if (head.length < 512 || head.readUInt16LE(510) !== 0xaa55) return false;
  const entries = [446, 462, 478, 494].map((offset) => head.subarray(offset, offset + 16));
  // Each entry: byte 0 is 0x80 for the active one or 0, byte 4 the type, bytes 12 to 15 the length in sectors.
  const sane = entries.every((entry) => entry.readUInt8(0) === 0 || entry.readUInt8(0) === 0x80);
  return sane && entries.some((entry) => entry.readUInt8(4) !== 0 && entry.readUInt32LE(12) !== 0);
}

function extDescription(superblock: Superblock): string {
  return superblock.generation === 'ext4'
    ? `an ext4 filesystem of ${formatBytes(superblock.sizeBytes)}`
    : `an ${superblock.generation} filesystem (it has no extents)`;
}

/** What the file is when it is no ext filesystem. */
function identifyForeign(file: RegularFile, head: Buffer): DiskFormat | undefined {
  for (const signature of SIGNATURES) {
    if (hasMagic(file, head, signature)) return { kind: signature.kind, description: signature.description };
  }
  if (hasPartitions(head)) return { kind: 'mbr', description: 'a disk with an MBR partition table' };
  const footer = file.readAt(Math.max(0, file.size - VHD_FOOTER_BYTES), 8);
  if (footer.toString('latin1') === 'conectix') return { kind: 'vhd', description: 'a VHD disk image' };
  return undefined;
}

function identify(file: RegularFile): DiskFormat {
  if (file.size === 0) return { kind: 'empty', description: 'an empty file' };
  const head = file.readAt(0, HEAD_BYTES);
  const parsed = parseSuperblock(head.subarray(SUPERBLOCK_OFFSET, SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES));
  if (parsed.kind === 'valid') {
    // Before the signatures: a boot loader may live in the 1024 bytes in front of it, and ends as an MBR does.
    const { superblock } = parsed;
    const { generation, sizeBytes } = superblock;
    if (sizeBytes > file.size) {
      const sizes = `it has ${formatBytes(sizeBytes)}, the file holds ${formatBytes(file.size)}`;
      return { kind: 'truncated', description: `a truncated ${generation} filesystem (${sizes})` };
    }
    return { kind: generation, description: extDescription(superblock), superblock };
  }
  const foreign = identifyForeign(file, head);
  if (foreign) return foreign;
  // After the signatures: two bytes of magic are there by chance in one file of 65,536.
  if (parsed.kind === 'damaged') {
    return { kind: 'damaged', description: `an ext4 filesystem that is damaged (${parsed.reason})` };
  }
  if (head.every((byte) => byte === 0)) {
    return {
      kind: 'unknown',
      description: `a file that begins with ${formatBytes(head.length)} of zeros (a disk without a filesystem?)`,
    };
  }
  return { kind: 'unknown', description: 'a file of unknown format' };
}

/**
 * Names what a file is by reading a few KiB of it.
 * @throws BangerError `preflight_failed` when it is missing, unreadable or no regular file.
 */
export async function identifyDisk(path: string): Promise<DiskFormat> {
  const file = openRegular(path);
  try {
    return identify(file);
  } finally {
    file.close();
  }
}
