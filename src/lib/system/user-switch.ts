import { closeSync, openSync, readSync } from 'node:fs';
import { BangerError, PreflightError } from '../errors.ts';
import { findTool } from './preflight.ts';
import { run } from './process.ts';
import type { StepMount } from './sandbox-step.ts';

/** Who a command of the guest runs as: numbers, which mean the same without a look into the guest. */
export interface Identity {
  uid: number;
  gid: number;
  /** Supplementary groups. */
  groups: readonly number[];
}

export interface UserSwitch {
  mounts: StepMount[];
  /** What stands before the command, which is looked for in the PATH of its environment. */
  prefix: string[];
}

const PLACE = '/run/banger/switch';
/** Elf64_Phdr's p_type of the path to a dynamic linker (elf(5)). */
const PT_INTERP = 3;
/** `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, as the dynamic linker lists what a program needs (ld.so(8)). */
const LIBRARY = /^\s*(\S+) => (\/.*) \(0x[0-9a-f]+\)$/gmu;

/**
 * How a step becomes another user, after bubblewrap has made everything as root. The host's chroot(1) does it, loaded by the
 * host's dynamic linker with the host's libraries, all bound into the guest, so that nothing of the guest is needed. It
 * chroots to where it is, and of a number behind a `+` it asks nobody: setpriv(1) would load whatever the guest's
 * nsswitch.conf names, busybox has nothing that sets groups of no name.
 * @throws PreflightError when the host has no such program
 */
export async function userSwitch({ uid, gid, groups }: Identity): Promise<UserSwitch> {
  const chroot = await findTool('chroot');
  if (chroot === null) {
    throw new PreflightError('the sandbox', [
      { message: 'chroot is not installed', mend: 'apt-get install coreutils' },
    ]);
  }
  const linker = interpreterOf(chroot);
  const bind = (source: string, name: string): StepMount => ({
    ...{ kind: 'bind', source, target: `${PLACE}/${name}`, writable: false },
  });
  const mounts = [bind(chroot, 'chroot')];
  const loader: string[] = [];
  if (linker !== null) {
    const { stdout } = await run(linker, ['--list', chroot]);
    for (const [, name = '', path = ''] of stdout.matchAll(LIBRARY)) mounts.push(bind(path, `lib/${name}`));
    mounts.push(bind(linker, 'linker'));
    loader.push(`${PLACE}/linker`, '--library-path', `${PLACE}/lib`);
  }
  const prefix = [
    ...[...loader, `${PLACE}/chroot`],
    `--userspec=+${uid}:+${gid}`,
    `--groups=${groups.map((group) => `+${group}`).join(',')}`,
    // Where the step begins is where it stays.
    ...['--skip-chdir', '/'],
  ];
  return { mounts, prefix };
}

/** The dynamic linker that a program of this machine asks for; null for a static one. */
function interpreterOf(program: string): string | null {
  const file = openSync(program, 'r');
  try {
    const read = (position: number, length: number): Buffer => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, position));
    };
    const head = read(0, 64);
    if (head.length < 64 || head.readUInt32BE(0) !== 0x7f454c46 || head[4] !== 2) {
      throw new BangerError('preflight_failed', `${program} is no program of a 64-bit machine`);
    }
    const [offset, size, count] = [
      Number(head.readBigUInt64LE(32)),
      head.readUInt16LE(54),
      head.readUInt16LE(56),
    ];
    for (let index = 0; index < count; index += 1) {
      const entry = read(offset + index * size, 56);
      if (entry.length < 56 || entry.readUInt32LE(0) !== PT_INTERP) continue;
      const path = read(Number(entry.readBigUInt64LE(8)), Number(entry.readBigUInt64LE(32)));
      return path.toString('utf8').replace(/\0.*$/su, '');
    }
    return null;
  } finally {
    closeSync(file);
  }
}
