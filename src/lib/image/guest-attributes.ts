import { Readable } from 'node:stream';
import { BangerError } from '../errors.ts';
import { bytesOfName } from '../system/file-name.ts';
import { hostProgram } from '../system/host-program.ts';
import { lastLines } from '../system/process.ts';
import type { Sandbox } from '../system/sandbox.ts';
import { formatBytes, oneLine } from '../text.ts';
import type { CopyItem } from './copy-item.ts';

const ACCESS_ACL = 'system.posix_acl_access';
/**
 * What a copy keeps, beside user.*: security labels are this machine's policy and none of an image's, and a step may set no
 * other security.* nor trusted.* (xattr(7)).
 */
const KEPT = ['security.capability', ACCESS_ACL, 'system.posix_acl_default'];
/** More than they take in any tree there is, and as much as may be in memory; in bytes. */
const MOST_BYTES = 64 * 1024 * 1024;
/** lsetxattr(2): arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h. */
const LSETXATTR = process.arch === 'x64' ? 189 : 6;

/**
 * Runs in the guest, whose links lead nowhere else, by the host's perl, which each Debian has; busybox knows no attributes.
 * stdin has path, name and value of each, every one behind its length; one without a name is the path's mode, which an ACL
 * has changed. Says on stdout which ones are refused (EPERM, EROFS, EOPNOTSUPP); of each name once on stderr, where signs of
 * the sandbox's limits are looked for. EROFS: a link out of it stands for a directory of an archive, and what it leads to
 * stays as it is.
 */
const SCRIPT = String.raw`
my $set = 0 + shift;
binmode STDIN; binmode STDOUT;
my @fields = unpack '(N/a)*', do { local $/; <STDIN> };
my %told;
my $done = '';
while (my ($path, $name, $value) = splice @fields, 0, 3) {
  if ($name eq '') {
    $path ne $done or chmod oct $value, $path or die "$path: $!\n";
    next;
  }
  if (syscall($set, $path, $name, $value, length $value, 0) == 0) { $done = $path; next }
  die "$path: $name: $!\n" unless $! == 1 || $! == 30 || $! == 95;
  print "$path\0$name: $!\0";
  warn "$name: $!\n" unless $told{$name}++;
}
`;

interface Bearer extends Pick<CopyItem, 'type' | 'mode'> {
  attributes: ReadonlyMap<string, Buffer>;
}

/** The extended attributes of what is copied. */
export class Attributes {
  /** By paths below the target: a later one replaces an earlier one. */
  readonly #bearers = new Map<string, Bearer>();
  #bytes = 0;

  /** @throws BangerError `preflight_failed` when they are too many */
  add(item: Pick<CopyItem, 'path' | 'type' | 'mode' | 'attributes'>): void {
    const { path, type, mode } = item;
    const attributes = item.attributes();
    this.#bearers.delete(path);
    if (attributes.size === 0) return;
    this.#bearers.set(path, { type, mode, attributes });
    for (const [name, value] of attributes) this.#bytes += path.length + name.length + value.length;
    if (this.#bytes <= MOST_BYTES) return;
    throw new BangerError(
      'preflight_failed',
      `there are more than ${formatBytes(MOST_BYTES)} of extended attributes`,
    );
  }

  /**
   * Sets them in a directory of the guest, where everything is that has them: last, since a change of owner takes
   * capabilities away (chown(2)).
   * @returns those that are left out, for people
   * @throws BangerError `step_failed`; PreflightError when this machine has no perl
   */
  async set(
    { directory, isAlone = false }: { directory: string; isAlone?: boolean },
    title: string,
    { sandbox }: { sandbox: Sandbox },
  ): Promise<string[]> {
    const { left, records } = this.#sorted();
    if (records.length === 0) return left;
    const { mounts, command } = await hostProgram('perl', 'perl-base');
    const result = await sandbox.run([...command, '-e', SCRIPT, String(LSETXATTR)], {
      cwd: directory,
      // perl complains of a locale that the guest has not.
      env: { LC_ALL: 'C' },
      input: Readable.from([Buffer.concat(records)]),
      mounts: isAlone && directory !== '/' ? [{ kind: 'alone', target: directory }, ...mounts] : mounts,
      network: 'none',
      tmp: 'image',
    });
    if (result.exitCode === 0) return [...left, ...refusedOnes(result.stdout)];
    const why = lastLines(result.stderr, 5).map(oneLine).join('\n') || `status ${result.exitCode}`;
    throw new BangerError('step_failed', `${oneLine(title)}: extended attributes could not be set: ${why}`, {
      details: { step: title, status: result.exitCode },
    });
  }

  #sorted(): { left: string[]; records: Buffer[] } {
    const left: string[] = [];
    const records: Buffer[] = [];
    for (const [path, { type, mode, attributes }] of this.#bearers) {
      // A directory may be there as a link to one.
      const place = bytesOfName(type === 'directory' ? `./${path}/.` : `./${path}`);
      for (const [name, value] of attributes) {
        if (!name.startsWith('user.') && !KEPT.includes(name)) left.push(leftOne(path, name));
        else records.push(...[place, bytesOfName(name), value].map(field));
      }
      // chmod follows a link, and a name of one.
      if (attributes.has(ACCESS_ACL) && (type === 'file' || type === 'directory')) {
        records.push(...[place, Buffer.alloc(0), Buffer.from(mode.toString(8))].map(field));
      }
    }
    return { left, records };
  }
}

function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function refusedOnes(said: string): string[] {
  const fields = said.split('\0');
  const refused: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    refused.push(leftOne((fields[at] ?? '').replace(/^\.\/|\/\.$/gu, ''), fields[at + 1] ?? ''));
  }
  return refused;
}

/** How a note has it. */
export function leftOne(path: string, what: string): string {
  return `${path} (${what})`;
}
