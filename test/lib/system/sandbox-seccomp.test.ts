import { describe, expect, test } from 'vitest';
import { seccompFilter } from '../../../src/lib/system/sandbox-seccomp.ts';

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const NEWUSER = 0x10000000;
const THREAD = 0x3d0f00;

/** Runs the filter as the kernel would: classic BPF of loads, jumps and returns (networking/filter.rst). */
function judge(filter: Buffer, data: { arch: number; number: number; argument?: number }): number {
  const memory = Buffer.alloc(64);
  memory.writeUInt32LE(data.number, 0);
  memory.writeUInt32LE(data.arch, 4);
  memory.writeUInt32LE(data.argument ?? 0, 16);
  let accumulator = 0;
  for (let at = 0; at < filter.length; at += 8) {
    const code = filter.readUInt16LE(at);
    const value = filter.readUInt32LE(at + 4);
    const jump = (taken: boolean): void => {
      at += 8 * filter.readUInt8(at + (taken ? 2 : 3));
    };
    if (code === 0x20) accumulator = memory.readUInt32LE(value);
    else if (code === 0x15) jump(accumulator === value);
    else if (code === 0x35) jump(accumulator >= value);
    else if (code === 0x45) jump((accumulator & value) !== 0);
    else if (code === 0x06) return value;
    else throw new Error(`instruction ${code.toString(16)} at ${at / 8}`);
  }
  throw new Error('fell off the end');
}

const X86_64 = 0xc000003e;
const I386 = 0x40000003;
const ARM64 = 0xc00000b7;
const ARM = 0x40000028;

describe.each([
  { node: 'x64' as const, arch: X86_64, clone: 56, unshare: 272, keyctl: 250, read: 0 },
  { node: 'x64' as const, arch: I386, clone: 120, unshare: 310, keyctl: 288, read: 3 },
  { node: 'arm64' as const, arch: ARM64, clone: 220, unshare: 97, keyctl: 219, read: 63 },
  { node: 'arm64' as const, arch: ARM, clone: 120, unshare: 337, keyctl: 311, read: 3 },
])('the filter on $node, for programs of $arch', ({ node, arch, clone, unshare, keyctl, read }) => {
  const filter = seccompFilter(node) ?? Buffer.alloc(0);

  test('refuses user namespaces and keyrings, and nothing else', () => {
    expect(judge(filter, { arch, number: clone, argument: NEWUSER | 17 })).toBe(EPERM);
    expect(judge(filter, { arch, number: unshare, argument: NEWUSER })).toBe(EPERM);
    expect(judge(filter, { arch, number: keyctl })).toBe(EPERM);
    expect(judge(filter, { arch, number: 435 })).toBe(ENOSYS);
    expect(judge(filter, { arch, number: clone, argument: THREAD })).toBe(ALLOW);
    expect(judge(filter, { arch, number: unshare, argument: 0x20000 })).toBe(ALLOW);
    expect(judge(filter, { arch, number: read, argument: NEWUSER })).toBe(ALLOW);
  });

  test('knows no other door', () => {
    expect(judge(filter, { arch, number: 0x40000000 | unshare, argument: NEWUSER })).toBe(ENOSYS);
    expect(judge(filter, { arch: 0xdead, number: read })).toBe(ENOSYS);
  });
});

test('there is none where the system calls are not known', () => {
  expect(seccompFilter('riscv64')).toBeNull();
});
