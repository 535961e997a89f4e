import { DISABLED_UNITS, ENABLED_UNITS } from './debian-guest.ts';

/** What the hooks find in their environment: files and directories of ours. */
export interface HookFiles {
  /** How apt reaches its mirrors, for the time of the bootstrap. */
  aptSettings: string;
  credentials: string;
  /** Trees that are copied over the root; the keys where the guest has none of that name. */
  guestFiles: string;
  keyrings: string;
}

export function hookEnvironment(
  { aptSettings, credentials, guestFiles, keyrings }: HookFiles,
  packages: readonly string[],
): Record<string, string> {
  return {
    GUEST_PACKAGES: packages.join(' '),
    APT_SETTINGS: aptSettings,
    APT_CREDENTIALS: credentials,
    GUEST_FILES: guestFiles,
    GUEST_KEYRINGS: keyrings,
  };
}

/**
 * Into the configuration that mmdebstrap made for its own runs of apt, which it keeps in /tmp and removes. Then a look
 * at whether the packages can be had, which else comes out only when the base is installed.
 */
export const SETUP_HOOK = `
set -eu
cat -- "$APT_SETTINGS" >>"$MMDEBSTRAP_APT_CONFIG"
if [ -s "$APT_CREDENTIALS" ]; then
  install -m 0600 -- "$APT_CREDENTIALS" "$1/tmp/apt-credentials"
  printf 'Dir::Etc::netrc "%s/tmp/apt-credentials";\\n' "$1" >>"$MMDEBSTRAP_APT_CONFIG"
fi
cd "$1"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get update --error-on=any
apt-get --simulate install $GUEST_PACKAGES >/dev/null
`;

/**
 * The guest's configuration over that of its packages, and then its initramfs, once: kernel packages make none while
 * INITRD is \`No\`. It is put together in a tmpfs, for on fuse2fs that takes a minute.
 */
export const CUSTOMIZE_HOOK = `
set -eu
root=$1
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/apt/sources.list.d/0000* "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
# systemd-resolved keeps what it replaces: this machine's own, which mmdebstrap lends to the root.
rm -f "$root/etc/.resolv.conf.systemd-resolved.bak"
cp -R --no-dereference --preserve=mode --remove-destination -- "$GUEST_FILES/." "$root/"
cp -R --dereference --no-clobber -- "$GUEST_KEYRINGS/." "$root/"
for unit in ${ENABLED_UNITS.join(' ')}; do
  if [ -e "$root/usr/lib/systemd/system/$unit" ] || [ -e "$root/etc/systemd/system/$unit" ]; then
    chroot "$root" systemctl enable "$unit"
  fi
done
for unit in ${DISABLED_UNITS.join(' ')}; do
  if [ -e "$root/usr/lib/systemd/system/$unit" ]; then chroot "$root" systemctl disable "$unit"; fi
done
mount -t tmpfs tmpfs "$root/var/tmp"
for modules in "$root"/usr/lib/modules/*/; do
  version=$(basename "$modules")
  if [ -e "$root/boot/vmlinuz-$version" ]; then chroot "$root" update-initramfs -c -k "$version"; fi
done
umount "$root/var/tmp"
rm -f "$root"/var/log/*.log "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
rm -f "$root"/var/lib/systemd/random-seed "$root"/var/lib/systemd/credential.secret
`;
