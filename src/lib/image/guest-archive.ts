import type { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { bytesOfName } from '../system/file-name.ts';
import type { StepMount } from '../system/sandbox-step.ts';
import { TAR_END } from '../system/tar-stream.ts';
import { headerOf } from './copy-archive.ts';
import type { CopyItem } from './copy-item.ts';
import { Attributes } from './guest-attributes.ts';
import { busyboxBind } from './guest-copy.ts';
import { MAKE_DIRECTORY, scriptCommand } from './guest-question.ts';
import { type GuestCommand, type Provisioning, runCommand } from './provision.ts';

export interface Owner {
  uid: number;
  gid: number;
}

export interface CopyPlace {
  /** Of the guest; made when it is missing. */
  directory: string;
  /** Whose the directories are that have to be made on the way. */
  owner: Owner;
  /** Whether nothing else of the image may be written to. */
  isAlone?: boolean;
}

const PLACE = '/run/banger/copy';
/**
 * Runs in the guest, whose links lead nowhere else. Files and links come as an archive on stdin; what is there is replaced,
 * not written through, and its directories are gone into, links to directories too. busybox makes links at the end, of root's,
 * and directories as they are needed; so links are given to their owners then, and what directories are like is the last to
 * be set: `name/.` is the directory that a link leads to, and nothing where there is none. tar goes on after some errors,
 * and then says nothing of them by its status.
 */
const COPY_SCRIPT = `
directory=$1 owner=$2 has_files=$3
shift 3
${MAKE_DIRECTORY}
make_directory "$directory" "$owner"
cd -- "$directory"
if [ "$("$box" stat -c %d .)" != "$("$box" stat -c %d /)" ]; then
  echo "$directory is not part of the image: every step has one of its own" >&2
  exit 1
fi
said=${PLACE}.said
: >"$said"
[ -z "$has_files" ] || "$box" tar -x -f - 2>"$said" || echo "tar: status $?" >>"$said"
for owner do
  "$box" xargs -0 -r "$box" chown -h "$owner" <"${PLACE}/$owner" 2>>"$said"
done
[ ! -f ${PLACE}/directories ] || "$box" tar -x -z -f ${PLACE}/directories 2>>"$said"
[ ! -s "$said" ] || { "$box" head -n 20 "$said" >&2; exit 1; }
`;

/** What is left to be done when the files and links of an archive are there. */
export class Finish {
  readonly #directories: Buffer[] = [];
  readonly #links = new Map<string, Buffer[]>();
  /** Set by themselves, after everything else. */
  readonly attributes = new Attributes();

  /** A directory's mode, owner and time; a symbolic link's owner; anything's extended attributes. */
  add(item: CopyItem): void {
    this.attributes.add(item);
    if (item.type === 'directory') {
      this.#directories.push(headerOf({ ...item, path: `${item.path}/.` }));
    } else if (item.type === 'symlink' && (item.uid !== 0 || item.gid !== 0)) {
      const owner = `${item.uid}:${item.gid}`;
      const own = this.#links.get(owner) ?? [];
      own.push(bytesOfName(`./${item.path}\0`));
      this.#links.set(owner, own);
    }
  }

  get isNothing(): boolean {
    return this.#directories.length === 0 && this.#links.size === 0;
  }

  /** The owners that links are given. */
  get owners(): string[] {
    return [...this.#links.keys()];
  }

  /** Where the guest finds it, in memory. */
  get mounts(): StepMount[] {
    const file = (name: string, content: Buffer): StepMount => ({
      ...{ kind: 'data', content, target: `${PLACE}/${name}`, mode: 0o400, writable: false },
    });
    const mounts = [...this.#links].map(([owner, names]) => file(owner, Buffer.concat(names)));
    if (this.#directories.length === 0) return mounts;
    return [...mounts, file('directories', gzipSync(Buffer.concat([...this.#directories, TAR_END])))];
  }
}

/**
 * Unpacks an archive in the guest. Without one, only what is to be finished is done.
 * @throws BangerError `step_failed`, and what reading the archive fails with
 */
export async function putArchive(
  archive: Readable | null,
  finish: Finish,
  { directory, owner, isAlone = false }: CopyPlace,
  title: string,
  around: Provisioning,
): Promise<void> {
  const { owners, mounts } = finish;
  const hasFiles = archive === null ? '' : 'files';
  const command: GuestCommand = {
    argv: scriptCommand(COPY_SCRIPT, [directory, `${owner.uid}:${owner.gid}`, hasFiles, ...owners]),
    binds: [busyboxBind(around.busybox)],
    // The root itself is all there is.
    mounts: isAlone && directory !== '/' ? [{ kind: 'alone', target: directory }, ...mounts] : mounts,
    network: 'none',
    tmp: 'image',
    ...(archive === null ? {} : { input: archive }),
  };
  await runCommand(title, command, around);
}
