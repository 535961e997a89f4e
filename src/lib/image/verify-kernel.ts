import { type Finding, fail, ok, warn } from '../finding.ts';
import { identifyKernel, type KernelArch } from '../system/kernel-image.ts';
import { oneLine } from '../text.ts';
import { artifactFault } from './requirements.ts';

export interface ExaminedKernel {
  finding: Finding;
  /** Null of one that does not say, or is none. */
  version: string | null;
  arch: KernelArch | null;
}

export interface Examining {
  mend: string;
  signal?: AbortSignal | undefined;
}

/** Whether a kernel is one that a VMM boots, and which. */
export async function examineKernel(path: string, { mend, signal }: Examining): Promise<ExaminedKernel> {
  const fault = await artifactFault('kernel', path);
  const kernel = fault === null ? await identifyKernel(path, signal === undefined ? {} : { signal }) : null;
  if (kernel === null || kernel.format === 'unknown') {
    return { finding: fail('kernel', fault ?? 'it is no kernel', mend), version: null, arch: null };
  }
  const { format, version, arch } = kernel;
  const shown = `${format} for ${arch}`;
  if (version !== null) return { finding: ok('kernel', `${oneLine(version)}, ${shown}`), version, arch };
  return { finding: warn('kernel', `${shown}, which does not tell its version`), version, arch };
}
