import { closeSync, openSync, readSync } from 'node:fs';
import { BangerError, PreflightError } from '../errors.ts';
import { findTool } from './preflight.ts';
import { run } from './process.ts';
import type { StepMount } from './sandbox-step.ts';

export interface HostProgram {
  mounts: StepMount[];
  /** What starts it in the guest; its arguments follow. */
  command: string[];
}

const PLACE = '/run/banger/host';
/** Elf64_Phdr's p_type of the path to a dynamic linker (elf(5)). */
const PT_INTERP = 3;
/** `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, as the dynamic linker lists what a program needs (ld.so(8)). */
const LIBRARY = /^\s*(\S+) => (\/.*) \(0x[0-9a-f]+\)$/gmu;

/**
 * A program of the host for a step: loaded by the host's dynamic linker with the host's libraries, all bound into the guest,
 * so that nothing of the guest is needed. One in a step.
 * @param source the Debian package that has it
 * @throws PreflightError when the host has no such program
 */
export async function hostProgram(name: string, source: string): Promise<HostProgram> {
  const path = await findTool(name);
  if (path === null) {
    throw new PreflightError('the sandbox', [
      { message: `${name} is not installed`, mend: `apt-get install ${source}` },
    ]);
  }
  const bind = (from: string, to: string): StepMount => ({
    ...{ kind: 'bind', source: from, target: `${PLACE}/${to}`, writable: false },
  });
  const mounts = [bind(path, name)];
  const linker = interpreterOf(path);
  if (linker === null) return { mounts, command: [`${PLACE}/${name}`] };
  const { stdout } = await run(linker, ['--list', path]);
  for (const [, library = '', found = ''] of stdout.matchAll(LIBRARY)) {
    mounts.push(bind(found, `lib/${library}`));
  }
  mounts.push(bind(linker, 'linker'));
  return { mounts, command: [`${PLACE}/linker`, '--library-path', `${PLACE}/lib`, `${PLACE}/${name}`] };
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
