import { resolve } from 'node:path';
import { BangerError } from '../errors.ts';
import type { Flavor } from './bootstrap.ts';

export interface FlavorWishes {
  flavor: 'debian' | 'busybox';
  suite?: string | undefined;
  mirror?: string | undefined;
  kernel?: string | undefined;
  modules?: string | undefined;
  packages?: readonly string[] | undefined;
  /** Bytes. */
  size?: number | undefined;
  /** How the caller names an option to its user. */
  nameOf(option: 'suite' | 'mirror' | 'kernel' | 'modules' | 'package' | 'size' | 'flavor'): string;
}

/** The options that mean something for one flavor only. */
const OPTIONS_OF = {
  debian: { suite: 'suite', mirror: 'mirror', packages: 'package' },
  busybox: { kernel: 'kernel', modules: 'modules' },
} as const;

/**
 * The flavor that was asked for, with the size of its root filesystem in bytes.
 * @throws BangerError `usage` for an option of the other flavor
 */
export async function chooseFlavor(wishes: FlavorWishes): Promise<{ flavor: Flavor; size: number }> {
  const { nameOf } = wishes;
  const other = wishes.flavor === 'debian' ? 'busybox' : 'debian';
  for (const [key, option] of Object.entries(OPTIONS_OF[other]) as [keyof FlavorWishes, 'suite'][]) {
    if (wishes[key] === undefined) continue;
    throw new BangerError('usage', `${nameOf(option)} means nothing for the ${wishes.flavor} flavor`, {
      hints: [`leave it out, or ask for the other flavor: ${nameOf('flavor')} ${other}`],
    });
  }
  if (wishes.flavor === 'busybox') {
    const { BUSYBOX_SIZE, busyboxFlavor } = await import('./busybox-flavor.ts');
    const size = wishes.size ?? BUSYBOX_SIZE;
    const kernel = wishes.kernel === undefined ? undefined : resolve(wishes.kernel);
    return {
      size,
      flavor: busyboxFlavor({
        size,
        kernel,
        modules: wishes.modules === undefined ? undefined : resolve(wishes.modules),
        mends: {
          kernel: `give a kernel: ${nameOf('kernel')} FILE`,
          modules: `give the kernel's own: ${nameOf('modules')} /lib/modules/VERSION`,
          size: `ask for more: ${nameOf('size')} 64M`,
        },
      }),
    };
  }
  const { DEBIAN_SIZE, debianFlavor } = await import('./debian-flavor.ts');
  const size = wishes.size ?? DEBIAN_SIZE;
  return {
    size,
    flavor: debianFlavor({
      size,
      suite: wishes.suite,
      mirror: wishes.mirror,
      packages: wishes.packages ?? [],
      mends: {
        size: `ask for more: ${nameOf('size')} 4G`,
        mirror: `name a mirror: ${nameOf('mirror')} URL`,
        suite: `name a release: ${nameOf('suite')} SUITE`,
      },
    }),
  };
}
