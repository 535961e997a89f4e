// CRC-32C as ext4 uses it: begun with all ones and not inverted at its end (Linux, Documentation/filesystems/ext4/checksums.rst).

/** The reversed polynomial of Castagnoli (RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;
export const CHECKSUM_START = 0xffffffff;

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ POLYNOMIAL;
  return value;
});

/** @param checksum of what is before these bytes, or CHECKSUM_START */
export function crc32c(checksum: number, bytes: Uint8Array): number {
  let value = checksum;
  for (const byte of bytes) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 0xff] ?? 0);
  return value >>> 0;
}

/** Of a number of 32 bits, as it lies in a filesystem. */
export function crc32cOfNumber(checksum: number, number: number): number {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return crc32c(checksum, bytes);
}
