import { readFileSync } from 'node:fs';

// QEMU's user network (qemu(1), -netdev user), whose addresses are always these.
const GUEST = '10.0.2.15/24';
/** The host's loopback address, as the guest reaches it. */
const HOST = '10.0.2.2';
const NAME_SERVER = '10.0.2.3';

/** Lines of sh that bring up a guest's network, where it has one. */
export const NETWORK_SCRIPT = `
ip link set lo up
if [ -d /sys/class/net/eth0 ]; then
  ip address add ${GUEST} dev eth0
  ip link set eth0 up
  ip route add default via ${HOST}
fi
`;

/** The host's resolv.conf(5) for a guest: names are looked up where QEMU asks the host's own servers. */
export function guestResolvConf(path = '/etc/resolv.conf'): string {
  const kept = textOf(path)
    .split('\n')
    .filter((line) => /^\s*(?:search|domain|options)\s/u.test(line));
  return [`nameserver ${NAME_SERVER}`, ...kept, ''].join('\n');
}

/** hosts(5), as it is here: names resolve as they do here. */
export function guestHosts(path = '/etc/hosts'): string {
  return textOf(path);
}

/** A server on the host's loopback address, such as a proxy, is somewhere else to a guest. */
const LOOPBACK = /(?<=:\/\/(?:[^/@\s"]*@)?)(?:127(?:\.\d+){3}|localhost|\[::1\])(?=[:/"\s]|$)/giu;

/** Text with URLs for a guest: those of the host's own servers lead to it. */
export function urlsForGuest(text: string): string {
  return text.replaceAll(LOOPBACK, HOST);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // A host that has none, or does not let us see it, has its own ways.
    return '';
  }
}
