import { PreflightError } from '../errors.ts';
import type { ActingStep } from './build-step.ts';
import { DEVELOPMENT_PACKAGES } from './packages.ts';
import type { Provisioning } from './provision.ts';

export type Preset = 'debian' | 'none';

export interface ChosenPreset {
  preset: Preset;
  /** What belongs to the preset, whether or not it was there already. */
  packages: readonly string[];
  steps: ActingStep[];
}

export interface Wishes {
  /** Absent: `debian` where the guest has apt. */
  preset: Preset | undefined;
  /** Whether steps or Docker want packages installed. */
  needsPackages: boolean;
}

/**
 * Looks into the guest and decides which base packages to add; those that it has already cost nothing.
 * @throws PreflightError when packages are wanted and the guest has no apt
 */
export async function choosePreset(
  { preset, needsPackages }: Wishes,
  context: Provisioning,
): Promise<ChosenPreset> {
  const { sandbox } = context;
  const probe = await sandbox.run(['/bin/sh', '-c', 'command -v apt-get && command -v dpkg-query']);
  const hasApt = probe.exitCode === 0;
  if (!hasApt && (needsPackages || preset === 'debian')) {
    throw new PreflightError('image build', [
      {
        message: 'the base image has no apt, so packages cannot be installed',
        mend: 'take a Debian base: banger image bootstrap debian-base',
      },
    ]);
  }
  if ((preset ?? (hasApt ? 'debian' : 'none')) === 'none') return { preset: 'none', packages: [], steps: [] };
  const { stdout } = await sandbox.run([
    'dpkg-query',
    '-W',
    '-f',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
    '${db:Status-Abbrev}${Package}\n',
    ...DEVELOPMENT_PACKAGES,
  ]);
  const installed = new Set(
    stdout
      .split('\n')
      .filter((line) => line.startsWith('ii '))
      .map((line) => line.slice(3)),
  );
  const missing = DEVELOPMENT_PACKAGES.filter((name) => !installed.has(name));
  return {
    preset: 'debian',
    packages: DEVELOPMENT_PACKAGES,
    steps: missing.length === 0 ? [] : [{ kind: 'packages', names: [...missing] }],
  };
}
