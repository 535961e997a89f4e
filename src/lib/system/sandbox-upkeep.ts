import { oneLine } from '../text.ts';
import { toolFailed } from './process.ts';
import type { Entry } from './sandbox-entry.ts';
import {
  examineInheritance,
  type GroupRepair,
  type PrivilegedFiles,
  privilegedFiles,
  someFiles,
} from './sandbox-inheritance.ts';

export interface UpkeepOptions {
  image: string;
  mountpoint: string;
  onLine?: (line: string) => void;
}

/** How many paths a note names. */
const NAMED = 10;
/** How many files are tried for a flush: a step may have removed some. */
const CANDIDATES = 4;

/** What fuse2fs leaves undone, mended after each step and once more before the end. Made before the image is mounted. */
export class FuseUpkeep {
  readonly #options: UpkeepOptions;
  readonly #privileged: PrivilegedFiles;
  #since = thisSecond();

  constructor(options: UpkeepOptions) {
    this.#options = options;
    const { files, hasCreationTimes } = privilegedFiles(options.image);
    this.#privileged = files;
    if (!hasCreationTimes) {
      this.#tell('its inodes are too small for creation times: setgid directories hand down no group');
    }
  }

  /**
   * Mends what changed since the last time, and says so. Nothing else may work on the image meanwhile.
   * @throws BangerError `corrupt` or `tool_failed` when it cannot be mended
   */
  async mend(entry: Entry): Promise<void> {
    const since = this.#since;
    this.#since = thisSecond();
    await flush(entry, this.#options);
    const { repairs, stripped, restored } = examineInheritance(this.#options.image, since, this.#privileged);
    if (repairs.length > 0) {
      await setGroups(entry, this.#options.mountpoint, repairs);
      this.#tell(
        'gave what is new in setgid directories their group',
        repairs.map(({ path }) => path),
      );
    }
    if (restored > 0) {
      this.#tell(`${restored} new entries of setgid directories came with an owner of their own and keep it`);
    }
    if (stripped.length > 0) {
      this.#tell('files lost their setuid or setgid bit when they were written to', stripped);
    }
  }

  #tell(text: string, paths: readonly Buffer[] = []): void {
    const more = paths.length > NAMED ? ` and ${paths.length - NAMED} more` : '';
    const named = paths.slice(0, NAMED).map((path) => `/${path}`);
    const list = paths.length === 0 ? '' : `: ${named.join(' ')}${more}`;
    this.#options.onLine?.(oneLine(`note: ${text}${list}`));
  }
}

/** In milliseconds. fuse2fs gives new directories and symbolic links times in whole seconds. */
function thisSecond(): number {
  return Math.floor(Date.now() / 1000) * 1000;
}

/**
 * Has fuse2fs write its last blocks into the file. It does so for an fsync of what is open for writing, not for one of
 * a directory or by sync(1): any file will do, which is not changed, and where there is none one is made for it.
 */
const FLUSH_SCRIPT = `
cd -- "$1" && shift || exit 1
for file; do
  [ -f "$file" ] && [ ! -L "$file" ] && dd if=/dev/null of="$file" conv=notrunc,nocreat,fsync status=none && exit
done
dd if=/dev/null of=.banger-flush conv=fsync status=none && rm .banger-flush
`;

export async function flush(
  entry: Entry,
  { image, mountpoint }: Pick<UpkeepOptions, 'image' | 'mountpoint'>,
): Promise<void> {
  await entry.runTool('/bin/sh', ['-c', FLUSH_SCRIPT, 'sh', mountpoint, ...someFiles(image, CANDIDATES)]);
}

/** Sets groups, then the modes that this cleared. Paths go in on stdin: they may be many, and any bytes. */
async function setGroups(entry: Entry, root: string, repairs: readonly GroupRepair[]): Promise<void> {
  const change = async (command: readonly string[], chosen: readonly GroupRepair[]): Promise<void> => {
    const paths = Buffer.concat(chosen.flatMap(({ path }) => [Buffer.from('./'), path, Buffer.from('\0')]));
    const script = 'cd -- "$1" && shift && exec xargs -0 "$@"';
    const result = await entry.feed(['/bin/sh', '-c', script, 'sh', root, ...command], { head: paths });
    if (result.exitCode !== 0) throw toolFailed(command[0] ?? 'xargs', result);
  };
  for (const [gid, chosen] of Map.groupBy(repairs, (repair) => repair.gid)) {
    await change(['chgrp', '-h', String(gid), '--'], chosen);
  }
  const cleared = repairs.filter(({ mode }) => mode !== null);
  for (const [mode, chosen] of Map.groupBy(cleared, (repair) => repair.mode)) {
    await change(['chmod', (mode ?? 0).toString(8), '--'], chosen);
  }
}
