import { BangerError, messageOf } from '../errors.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import { identifyKernel, type KernelArch } from '../system/kernel-image.ts';
import { oneLine } from '../text.ts';
import { BOOT_MODULES } from './boot-drivers.ts';
import { type InitrdModules, readInitrdModules } from './initrd-modules.ts';
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

/** A file of the boot set, with what was found in it; null of one that cannot be looked into. */
export interface ExaminedInitrd {
  finding: Finding;
  content: InitrdModules | null;
}

/** Whether a kernel could unpack an initrd, and what it brings. */
export async function examineInitrd(
  path: string,
  version: string | null,
  { mend, signal }: Examining,
): Promise<ExaminedInitrd> {
  const fault = await artifactFault('initrd', path);
  if (fault !== null) return { finding: fail('initrd', fault, mend), content: null };
  try {
    const options = signal === undefined ? {} : { signal };
    const content = await readInitrdModules(path, version, BOOT_MODULES, options);
    return { finding: initrdFinding(content, version, mend), content };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof BangerError)) throw error;
    const detail = oneLine(messageOf(error));
    if (error.code === 'corrupt') return { finding: fail('initrd', detail, mend), content: null };
    return { finding: warn('initrd', detail, error.hints[0] ?? null), content: null };
  }
}

function initrdFinding(content: InitrdModules, version: string | null, mend: string): Finding {
  const { entries, hasInit, otherVersions, found } = content;
  if (!hasInit) return warn('initrd', 'it has no /init: a kernel passes it over', mend);
  if (otherVersions.length > 0 && found.size === 0) {
    const others = otherVersions.map(oneLine).join(', ');
    return warn('initrd', `it has modules of ${others}, not of ${oneLine(version ?? 'the kernel')}`, mend);
  }
  return ok('initrd', `${entries} files`);
}
