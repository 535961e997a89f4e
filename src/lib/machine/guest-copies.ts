import { createHash } from 'node:crypto';
import { createWriteStream, statSync, truncateSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { toolFailed } from '../system/process.ts';
import type { HostTools } from './host-tools.ts';
import type { ScriptOptions, StepChannel } from './step-channel.ts';
import { quote } from './step-script.ts';

/** How a file or directory of the host is for a step. */
export type Carriage =
  /** The step sees it as it is now. */
  | 'read'
  /** What the step makes of it is with the host when the step has ended. */
  | 'returned'
  /** It is the step's own: the host has it as the step left it when one of its own tools looks (`settle`). */
  | 'owned';

interface Copy {
  carriage: Carriage;
  /** In the guest. */
  path: string;
  isDirectory: boolean;
  /** What the host had when the two were last the same. */
  identity: string;
  /** Whether a step may have changed it since then. */
  isGuestNewer: boolean;
}

/** Where copies are in the guest: on a disk that is thrown away. */
const PLACE = '/scratch/copies';
/** What a step changes is newer than this. */
const MARK = '/scratch/mark';
/** How much of the tape is read at once. */
const BLOCK_BYTES = 256 * 1024;
/** tar(1) says with it that a file changed while it was read. */
const CHANGED = 1;

/** A disk of the guest's that the host writes and reads while the guest does not: as a tape is passed on. */
export interface Tape {
  /** A sparse file. */
  path: string;
  /** Bytes: the most that fits on it. */
  size: number;
  /** In the guest. */
  device: string;
}

/**
 * What a guest puts on the tape may be anything: it is unpacked where there is nothing yet, so that no link leads out, and takes
 * the place of what was there when it is a file or directory as it was. Devices would be the host's.
 */
const TAKE_SCRIPT = `
tape=$1 place=$2 kind=$3 owner=$4
aside=$place.gone
rm -rf -- "$aside"
mkdir -m 700 -- "$aside" "$aside/new"
tar -x -p --numeric-owner "$owner" -C "$aside/new" -f "$tape"
case $kind in
directory) new=$aside/new ;;
*) new=$aside/new/\${place##*/} ;;
esac
find "$aside/new" '(' -type b -o -type c ')' -delete
if [ -L "$new" ] || { [ "$kind" = directory ] && [ ! -d "$new" ]; } || { [ "$kind" = file ] && [ ! -f "$new" ]; }; then
  echo "the machine gave back no $kind" >&2
  rm -rf -- "$aside"
  exit 1
fi
mv -T -- "$place" "$aside/old"
mv -T -- "$new" "$place"
rm -rf -- "$aside"
`;

export interface CopiesGround {
  channel: StepChannel;
  tools: HostTools;
  tape: Tape;
  /** What the guest has of itself, by what it is here. */
  present: Readonly<Record<string, string>>;
}

/**
 * Copies of the host's files in a guest, which has no other way to them. They travel as archives, by a disk: through a port,
 * which takes a page at a time, a distribution's package lists would take half a minute.
 */
export class GuestCopies {
  readonly #ground: CopiesGround;
  readonly #copies = new Map<string, Copy>();
  #count = 0;

  constructor(ground: CopiesGround) {
    this.#ground = ground;
  }

  /** Has a file or directory in the guest for the next step; returns where. */
  async bring(source: string, carriage: Carriage): Promise<string> {
    const present = this.#ground.present[source];
    if (present !== undefined && carriage === 'read') return present;
    const known = this.#copies.get(source);
    if (known !== undefined) {
      const isSame = known.isGuestNewer || known.identity === (await this.#identityOf(source));
      if (isSame && known.carriage === carriage) return known.path;
      await this.#forget(source, known);
    }
    const copy = await this.#push(source, carriage);
    this.#copies.set(source, copy);
    return copy.path;
  }

  /** Before a step, once all is there. */
  async stepBegins(): Promise<void> {
    const owned = [...this.#copies.values()].some(({ carriage }) => carriage === 'owned');
    if (owned) await performOrFail(this.#ground.channel, `: >${MARK}`);
  }

  /** After a step: takes back what is not the step's own, and throws away what may be another the next time. */
  async stepEnded(): Promise<void> {
    for (const [source, copy] of this.#copies) {
      if (copy.carriage === 'owned') copy.isGuestNewer ||= await this.#hasChanged(copy);
      if (copy.carriage === 'returned') await this.#pull(source, copy);
      if (copy.carriage === 'returned' || (copy.carriage === 'read' && copy.isDirectory)) {
        await this.#forget(source, copy);
      }
    }
  }

  /** Before a tool of the host does something: it finds what steps left, and may change it. */
  async settle(): Promise<void> {
    for (const [source, copy] of this.#copies) {
      if (!copy.isGuestNewer) continue;
      await this.#pull(source, copy);
      copy.isGuestNewer = false;
      copy.identity = await this.#identityOf(source);
    }
  }

  async #push(source: string, carriage: Carriage): Promise<Copy> {
    const { channel, tools, tape } = this.#ground;
    this.#count += 1;
    const directory = `${PLACE}/${this.#count}`;
    const identity = await this.#identityOf(source);
    const isDirectory = statSync(source).isDirectory();
    const from = isDirectory
      ? ['-C', source, '--', '.']
      : ['-h', '-C', dirname(source), '--', `./${basename(source)}`];
    const owner = tools.hasIds ? [] : ['--owner=0', '--group=0'];
    const tar = await tools.stream('tar', ['-c', '--numeric-owner', '-f', '-', ...owner, ...from]);
    if (tar.stdout === null) throw new Error('its output is read as it comes');
    const onto = createWriteStream(tape.path, { flags: 'r+' });
    await pipeline(tar.stdout, onto);
    const result = await tar.exited;
    if (result.exitCode !== 0 && result.exitCode !== CHANGED) throw toolFailed('tar', result);
    const blocks = Math.ceil(onto.bytesWritten / BLOCK_BYTES);
    const script = `
set -e
mkdir -p -- ${directory}
cd -- ${directory}
# What has been read of it before is another archive's.
blockdev --flushbufs ${tape.device}
# busybox's tar reads on behind the end of an archive.
dd if=${tape.device} bs=${BLOCK_BYTES} count=${blocks} 2>/dev/null | tar -x -p -f -
`;
    await performOrFail(channel, script);
    this.#wipe();
    const path = isDirectory ? directory : `${directory}/${basename(source)}`;
    return { carriage, path, isDirectory, identity, isGuestNewer: false };
  }

  async #pull(source: string, { path, isDirectory }: Copy): Promise<void> {
    const { channel, tools, tape } = this.#ground;
    const [directory, name] = isDirectory ? [path, '.'] : [dirname(path), `./${basename(path)}`];
    const write = `tar -c -f ${tape.device} -- ${quote(name)} && blockdev --flushbufs ${tape.device}`;
    await performOrFail(channel, `cd -- ${quote(directory)} && ${write}`);
    const owner = tools.hasIds ? '--same-owner' : '--no-same-owner';
    const kind = isDirectory ? 'directory' : 'file';
    await tools.run('sh', ['-euc', TAKE_SCRIPT, 'take', tape.path, source, kind, owner]);
    this.#wipe();
  }

  async #hasChanged({ path }: Copy): Promise<boolean> {
    let said = '';
    await performOrFail(this.#ground.channel, `find ${quote(path)} -newer ${MARK} | head -n 1`, {
      onOutput(bytes, stream) {
        if (stream === 'stdout') said += bytes.toString();
      },
    });
    return said !== '';
  }

  async #forget(source: string, { path, isDirectory }: Copy): Promise<void> {
    this.#copies.delete(source);
    await performOrFail(this.#ground.channel, `rm -rf -- ${quote(isDirectory ? path : dirname(path))}`);
  }

  /** What has been passed on takes no room any more. */
  #wipe(): void {
    const { path, size } = this.#ground.tape;
    truncateSync(path);
    truncateSync(path, size);
  }

  /** Another file, or another content, has another one; of a directory, anything in it. */
  async #identityOf(path: string): Promise<string> {
    const list = ['-printf', '%P %D %i %s %T@ %C@\\n'];
    const { stdout } = await this.#ground.tools.run('find', ['-H', path, ...list]);
    return createHash('sha256').update(stdout).digest('hex');
  }
}

/** @throws BangerError `tool_failed` with what a script said */
export async function performOrFail(
  channel: StepChannel,
  script: string,
  { onOutput }: Pick<ScriptOptions, 'onOutput'> = {},
): Promise<void> {
  const said: Buffer[] = [];
  const exitCode = await channel.perform(script, {
    onOutput(bytes, stream) {
      if (stream === 'stderr') said.push(Buffer.from(bytes));
      return onOutput?.(bytes, stream);
    },
  });
  if (exitCode === 0) return;
  const stderr = Buffer.concat(said).toString();
  throw toolFailed('sh', { exitCode, stdout: '', stderr, durationMs: 0 });
}
