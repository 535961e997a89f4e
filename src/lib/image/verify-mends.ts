import type { ImageRow } from '../store/schema.ts';
import type { ArtifactKind } from './artifacts.ts';

/** What is to be done about each kind of finding: commands to be typed, with what only the user knows in capitals. */
export interface Mends {
  files: Readonly<Record<ArtifactKind, string>>;
  init: string;
  fstab: string;
  machineId: string;
}

export function mendsOf({ name, managed }: Pick<ImageRow, 'name' | 'managed'>): Mends {
  const anew = (flags: string): string => `banger image build NEW --from-image ${name} ${flags}`;
  const register = (flags: string): string =>
    `banger image register ${name} --rootfs FILE --kernel FILE${flags}`;
  const lost = managed ? `banger image delete ${name}` : register('');
  return {
    files: {
      rootfs: lost,
      workSeed: managed ? lost : register(' --work-seed FILE'),
      kernel: managed ? anew('--kernel FILE') : register(''),
      initrd: managed ? anew('--initrd FILE') : register(' --initrd FILE'),
      modules: anew('--modules DIR'),
    },
    init: anew('--copy FILE:/sbin/init'),
    fstab: anew('--copy FILE:/etc/fstab'),
    machineId: anew("--run 'truncate -s 0 /etc/machine-id && rm -f /var/lib/dbus/machine-id'"),
  };
}
