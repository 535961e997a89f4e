import { BangerError, messageOf } from '../errors.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import { oneLine } from '../text.ts';
import { BOOT_MODULES } from './boot-drivers.ts';
import { type InitrdModules, readInitrdModules } from './initrd-modules.ts';
import { artifactFault } from './requirements.ts';
import type { Examining } from './verify-kernel.ts';

export interface ExaminedInitrd {
  finding: Finding;
  /** Null of one that cannot be looked into. */
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
