import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../../src/lib/system/process.ts';

/** What a name stands for, as the kernel says it: of stat(1), readlink and sha256sum. */
export interface Seen {
  /** All of st_mode, in hex. */
  mode: string;
  uid: string;
  gid: string;
  /** Of directories, null: they are counted and sized as their filesystem likes. */
  links: string | null;
  size: string | null;
  device: string;
  modified: string;
  target: string;
  sha256: string;
}

/** By path, a character a byte. */
export type Listing = ReadonlyMap<string, Seen>;

/**
 * Fills the directory it runs in with everything that there is: in perl, which each Debian has, for the system calls that
 * a shell has no word for.
 */
const POPULATE = String.raw`
use strict; use IO::Socket::UNIX; use POSIX 'mkfifo';
my ($with) = @ARGV;
srand 7;
sub put { my ($name, $bytes) = @_; open my $f, '>', $name or die "$name: $!"; binmode $f; print $f $bytes; close $f }
sub noise { join '', map { pack 'N', rand 2**32 } 1 .. $_[0] / 4 }
mkdir "d$_" for 1 .. 3;
put("d1/s$_", substr noise(200), 0, $_) for 0, 1, 59, 60, 61, 100, 156, 160, 200;
put('d1/large', noise(700_000)); chmod 04755, 'd1/large'; chown 70000, 80000, 'd1/large';
put("d2/odd\nname\t\xff\xfe", 'odd'); put("d2/\xc3\xa9t\xc3\xa9", 'utf-8'); put("d2/\xe2\x82", 'cut');
open my $f, '>', 'd1/scattered'; binmode $f;
for (0 .. 599) { sysseek $f, $_ * 8192, 0; syswrite $f, noise(4096) } close $f;
open $f, '>', 'd1/far'; binmode $f; print $f 'near'; seek $f, 70 * 2**20 + 5, 0; print $f 'far'; truncate $f, 72 * 2**20 + 99; close $f;
open $f, '>', 'd1/zeros'; print $f "\0" x 300_000; close $f;
link 'd1/large', "d3/hard$_" for 1, 2;
symlink 'x' x $_, "d3/link$_" for 1, 30, 58, 59, 60, 61, 200, 900;
symlink "\xff/..", 'd3/odd-link'; symlink 'd1/large', 'd3-rel'; symlink '../d1', 'd3/up'; symlink '/d3/up/large', 'd1/absolute';
symlink 'ring-b', 'ring-a'; symlink 'ring-a', 'ring-b'; symlink '/', 'd2/root';
mkfifo('d3/fifo', 0640); chmod 01777, 'd2'; chmod 02750, 'd3'; utime 86400, 1e9, 'd1/s1'; mkdir "empty", 0700;
system qw(mknod d3/char c 5 1); system qw(mknod d3/block b 259 70000);
mkdir 'crowd'; put("crowd/$_-" . 'x' x 190, '') for 1 .. 1800;
mkdir 'small'; put("small/$_", '') for 1 .. 8;
if ($with eq 'kernel') {
  $f = IO::Socket::UNIX->new(Local => 'd3/socket', Listen => 1) or die $!;
  system qw(fallocate -l 300000 d1/allocated); open $f, '+<', 'd1/allocated'; sysseek $f, 100_000, 0; syswrite $f, 'written'; close $f;
  system qw(fallocate --keep-size -l 900000 d2/odd-tail); put('d2/beyond', 'short'); system qw(fallocate --keep-size -l 500000 d2/beyond);
  unlink glob "crowd/1?5*"; unlink 'small/3';
  my $set = (POSIX::uname())[4] eq 'x86_64' ? 188 : 5;
  my $attribute = sub { my ($path, $name, $value) = @_; syscall($set, $path, $name, $value, length $value, 0) == 0 or die "$path $name: $!" };
  $attribute->('d1/s1', 'user.small', 'value'); $attribute->('d1/s1', 'user.empty', ''); $attribute->('d1/s1', "user.\xc3\xa9", "\0\xff");
  $attribute->('d1/s1', 'trusted.long', 'l' x 600); $attribute->('d1', 'user.directory', 'd' x 40); $attribute->('d1/s0', 'user.huge', 'h' x 30000) if grep { $_ eq 'huge' } @ARGV;
  $attribute->('d1/large', 'security.capability', pack 'V5', 0x02000001, 0x2000, 0, 0, 0);
}
`;

/** Three times the same names: stat, readlink (of links) and digests (of files), each record ended by NULs. */
const LIST = String.raw`
find . -name lost+found -prune -o -exec stat --printf '%n\0%f\0%u\0%g\0%h\0%s\0%t:%T\0%Y\0' {} + >"$OUT/stat"
find . -type l -printf '%p\0%l\0' >"$OUT/links"
find . -type f ! -path './crowd/*' -exec sha256sum -z {} + >"$OUT/digests"
`;

function* records(bytes: Buffer, each: number): Generator<string[]> {
  const fields = bytes.toString('latin1').split('\0').slice(0, -1);
  for (let at = 0; at < fields.length; at += each) yield fields.slice(at, at + each);
}

async function readListing(out: string): Promise<Listing> {
  const listing = new Map<string, Seen>();
  const nameOf = (path: string): string => path.replace(/^\.\/?/u, '');
  for (const [
    path = '',
    mode = '',
    uid = '',
    gid = '',
    links = '',
    size = '',
    device = '',
    modified = '',
  ] of records(await readFile(join(out, 'stat')), 8)) {
    const isDirectory = mode.startsWith('4') && mode.length === 4;
    const sized = isDirectory ? { links: null, size: null } : { links, size };
    listing.set(nameOf(path), { mode, uid, gid, ...sized, device, modified, target: '', sha256: '' });
  }
  for (const [path = '', target = ''] of records(await readFile(join(out, 'links')), 2)) {
    Object.assign(listing.get(nameOf(path)) ?? {}, { target });
  }
  for (const [line = ''] of records(await readFile(join(out, 'digests')), 1)) {
    Object.assign(listing.get(nameOf(line.slice(66))) ?? {}, { sha256: line.slice(0, 64) });
  }
  return listing;
}

async function inScratch<T>(use: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = await mkdtemp(join(tmpdir(), 'specimen-'));
  try {
    return await use(scratch);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

async function makeFile(image: string, sizeMiB: number): Promise<void> {
  await writeFile(image, '');
  await truncate(image, sizeMiB * 1024 * 1024);
}

/** An image whose content mke2fs copied, and what the kernel says of what it was copied from. Wants root. */
export function copiedSpecimen(image: string, sizeMiB: number, options: readonly string[]): Promise<Listing> {
  return inScratch(async (scratch) => {
    await makeFile(image, sizeMiB);
    const script = `set -e; mkdir tree; cd tree; perl -e "$POPULATE" mke2fs; ${LIST}`;
    const env = { POPULATE, OUT: scratch };
    await run('sh', ['-c', script], { cwd: scratch, env });
    await run('mke2fs', ['-q', '-F', '-t', 'ext4', ...options, '-d', join(scratch, 'tree'), image]);
    return readListing(scratch);
  });
}

/** An image that the kernel wrote, and what it says of it, mounted in a namespace of its own. Wants root. */
export function writtenSpecimen(
  image: string,
  sizeMiB: number,
  options: readonly string[],
  also: readonly string[] = [],
): Promise<Listing> {
  return inScratch(async (scratch) => {
    await makeFile(image, sizeMiB);
    await run('mke2fs', ['-q', '-F', '-t', 'ext4', ...options, image]);
    const script = `set -e; mkdir at; mount -t ext4 -o loop -- "$IMAGE" at; cd at; perl -e "$POPULATE" "$@"; ${LIST}
      cd ..; umount at`;
    const env = { POPULATE, OUT: scratch, IMAGE: image };
    const namespace = ['--mount', '--propagation', 'private'];
    await run('unshare', [...namespace, ...['sh', '-c', script, 'sh', 'kernel', ...also]], {
      cwd: scratch,
      env,
    });
    return readListing(scratch);
  });
}
