/**
 * The system calls that a step is refused although no capability guards them, as Docker's default profile refuses
 * them: a user namespace of its own, in which it would have every capability and could mount; and the kernel's
 * keyrings, which no namespace keeps apart from the host's. clone3 hides its flags from a filter: it is said not to
 * exist, and libraries then use clone.
 */
interface CallNumbers {
  clone: number;
  unshare: number;
  clone3: number;
  keyrings: readonly [addKey: number, requestKey: number, keyctl: number];
}

interface Abi {
  /** AUDIT_ARCH_* (linux/audit.h). */
  architecture: number;
  /** arch/x86/entry/syscalls/*.tbl, include/uapi/asm-generic/unistd.h, arch/arm/tools/syscall.tbl. */
  calls: CallNumbers;
}

const X86_64: Abi = {
  architecture: 0xc000003e,
  calls: { clone: 56, unshare: 272, clone3: 435, keyrings: [248, 249, 250] },
};
const I386: Abi = {
  architecture: 0x40000003,
  calls: { clone: 120, unshare: 310, clone3: 435, keyrings: [286, 287, 288] },
};
const ARM64: Abi = {
  architecture: 0xc00000b7,
  calls: { clone: 220, unshare: 97, clone3: 435, keyrings: [217, 218, 219] },
};
const ARM: Abi = {
  architecture: 0x40000028,
  calls: { clone: 120, unshare: 337, clone3: 435, keyrings: [309, 310, 311] },
};

/** What the kernel of each of Node's architectures runs: its own programs and those of its 32-bit ancestor. */
const ABIS: Readonly<Partial<Record<NodeJS.Architecture, readonly Abi[]>>> = {
  x64: [X86_64, I386],
  arm64: [ARM64, ARM],
};

/** linux/bpf_common.h: what the four instructions that are needed here consist of. */
const LOAD_WORD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_AT_LEAST = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_BITS = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN = 0x06; // BPF_RET | BPF_K

/** Offsets in struct seccomp_data (linux/seccomp.h); both architectures are little-endian. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const FIRST_ARGUMENT = 16;

const ALLOW = 0x7fff0000;
const REFUSE = 0x00050001; // SECCOMP_RET_ERRNO | EPERM
const MISSING = 0x00050026; // SECCOMP_RET_ERRNO | ENOSYS
const CLONE_NEWUSER = 0x10000000;
/** x86-64's third ABI has the architecture of the first, and this bit in its numbers. */
const X32_BIT = 0x40000000;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

function checkCalls({ clone, unshare, clone3, keyrings }: CallNumbers): Instruction[] {
  const refuseKeyrings = keyrings.flatMap((number): Instruction[] => [
    [JUMP_EQUAL, 0, 1, number],
    [RETURN, 0, 0, REFUSE],
  ]);
  return [
    [LOAD_WORD, 0, 0, NUMBER],
    [JUMP_AT_LEAST, 0, 1, X32_BIT],
    [RETURN, 0, 0, MISSING],
    [JUMP_EQUAL, 0, 1, clone3],
    [RETURN, 0, 0, MISSING],
    ...refuseKeyrings,
    [JUMP_EQUAL, 1, 0, clone],
    [JUMP_EQUAL, 0, 3, unshare],
    [LOAD_WORD, 0, 0, FIRST_ARGUMENT],
    [JUMP_BITS, 0, 1, CLONE_NEWUSER],
    [RETURN, 0, 0, REFUSE],
    [RETURN, 0, 0, ALLOW],
  ];
}

function checkAbi({ architecture, calls }: Abi): Instruction[] {
  const body = checkCalls(calls);
  return [[LOAD_WORD, 0, 0, ARCHITECTURE], [JUMP_EQUAL, 0, body.length, architecture], ...body];
}

/**
 * The filter as bubblewrap takes it (`--seccomp`): an array of struct sock_filter (linux/filter.h). Null for an
 * architecture whose system calls are not known here.
 */
export function seccompFilter(architecture: NodeJS.Architecture = process.arch): Buffer | null {
  const abis = ABIS[architecture];
  if (abis === undefined) return null;
  const program: Instruction[] = [...abis.flatMap(checkAbi), [RETURN, 0, 0, MISSING]];
  const filter = Buffer.alloc(program.length * 8);
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    filter.writeUInt16LE(code, index * 8);
    filter.writeUInt8(ifTrue, index * 8 + 2);
    filter.writeUInt8(ifFalse, index * 8 + 3);
    filter.writeUInt32LE(value, index * 8 + 4);
  }
  return filter;
}
