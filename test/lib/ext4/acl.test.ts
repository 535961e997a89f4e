import { expect, test } from 'vitest';
import { heldAcl } from '../../../src/lib/ext4/acl.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
/** u::rw-,u:1234:r--,g::r--,m::r--,o::--- (fs/ext4/acl.h). */
const STORED = '01000000 01000600 02000400d2040000 04000400 10000400 20000000';

test('an ACL is handed out as the kernel does', () => {
  expect(heldAcl(hex(STORED))?.toString('hex')).toBe(
    hex(
      '02000000 01000600ffffffff 02000400d2040000 04000400ffffffff 10000400ffffffff 20000000ffffffff',
    ).toString('hex'),
  );
  expect(heldAcl(hex('01000000'))).toEqual(hex('02000000'));
});

test.each([
  ['nothing', ''],
  ['of another version', STORED.replace('01', '02')],
  ['that ends in an entry', STORED.slice(0, -2)],
  ['that ends before the id of a user', STORED.slice(0, 27)],
  ['that ends in a tag', `${STORED} 02`],
])('an ACL %s is none', (_, stored) => {
  expect(heldAcl(hex(stored))).toBe(null);
});
