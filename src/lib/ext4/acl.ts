// POSIX ACLs. As ext4 stores them: fs/ext4/acl.h, where only entries of a named user or group have an id; as the system calls
// have them: include/uapi/linux/posix_acl_xattr.h and posix_acl.h.

const HEADER_BYTES = 4;
const STORED_VERSION = 1;
const HELD_VERSION = 2;
const SHORT_BYTES = 4;
const LONG_BYTES = 8;
/** ACL_USER and ACL_GROUP. */
const NAMED = [0x02, 0x08];
/** ACL_UNDEFINED_ID. */
const NOBODY = 0xffffffff;

/** An ACL as setxattr(2) takes it, from what ext4 stores of it; null when that is none. */
export function heldAcl(stored: Buffer): Buffer | null {
  if (stored.length < HEADER_BYTES || stored.readUInt32LE(0) !== STORED_VERSION) return null;
  const held = [uint32(HELD_VERSION)];
  for (let at = HEADER_BYTES; at < stored.length; ) {
    const isNamed = at + 2 <= stored.length && NAMED.includes(stored.readUInt16LE(at));
    const end = at + (isNamed ? LONG_BYTES : SHORT_BYTES);
    if (end > stored.length) return null;
    held.push(stored.subarray(at, at + SHORT_BYTES));
    held.push(isNamed ? stored.subarray(at + SHORT_BYTES, end) : uint32(NOBODY));
    at = end;
  }
  return Buffer.concat(held);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
