import type { MountedSandbox } from './sandbox.ts';
import { startHolder } from './sandbox-holder.ts';
import { toolRunner } from './sandbox-tool.ts';

/** A mounted root directory that tools of the host fill, before or without any step running in it. */
export type MountedRoot = Pick<MountedSandbox, 'root' | 'runTool' | 'close' | 'abandon'>;

export interface MemoryRootOptions {
  /** An existing empty directory. */
  mountpoint: string;
  /** The most it may hold, in bytes. */
  sizeBytes: number;
  signal: AbortSignal;
  onLine?: (line: string) => void;
}

/**
 * Mounts an empty tmpfs in private namespaces, with ids mapped as in a sandbox. Whatever happens to us it is gone with
 * everything in it, files of subordinate ids too, which on a disk an ordinary user could not remove.
 * @throws BangerError `tool_failed`
 */
export async function openMemoryRoot(options: MemoryRootOptions): Promise<MountedRoot> {
  const { mountpoint, signal } = options;
  const holder = await startHolder({ ...options, kind: 'memory', image: 'rootfs' });
  return {
    root: mountpoint,
    runTool: toolRunner(holder, signal),
    close: () => holder.unmount(),
    abandon: () => holder.kill(),
  };
}
