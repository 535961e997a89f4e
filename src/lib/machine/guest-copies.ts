import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { toolFailed } from '../system/process.ts';
import { drained, type HostTools } from './host-tools.ts';
import type { StepChannel } from './step-channel.ts';
import { quote } from './step-script.ts';

/** How a file or directory of the host is for a step. */
export type Carriage =
  /** The step sees it as it is now. */
  | 'read'
  /** What the step makes of it is with the host when the step has ended; what the step removes from a directory stays. */
  | 'merged'
  /** It is the step's own: the host has it as the step left it when one of its own tools looks (`settle`). */
  | 'owned';

interface Copy {
  carriage: Carriage;
  /** In the guest. */
  path: string;
  isDirectory: boolean;
  /** What the host had when it was copied. */
  identity: string;
  /** Who has the newer one. */
  newer: 'nobody' | 'host' | 'guest';
}

/** Where copies are in the guest: on a disk of their own, which is thrown away. */
const PLACE = '/scratch/copies';
/** tar(1) says with it that a file changed while it was read. */
const CHANGED = 1;

export interface CopiesGround {
  channel: StepChannel;
  tools: HostTools;
  /** What the guest has of itself, by what it is here. */
  present: Readonly<Record<string, string>>;
}

/** Copies of the host's files in a guest, which has no other way to them. They travel as archives. */
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
    const identity = identityOf(source);
    if (known !== undefined) {
      const isSame = carriage === 'owned' ? known.newer !== 'host' : known.identity === identity;
      if (isSame && known.carriage === carriage) return known.path;
      await this.#forget(source, known);
    }
    const copy = await this.#push(source, carriage, identity);
    this.#copies.set(source, copy);
    return copy.path;
  }

  /** After a step: takes back what is not the step's own, and throws away what may be another the next time. */
  async stepEnded(): Promise<void> {
    for (const [source, copy] of this.#copies) {
      if (copy.carriage === 'owned') copy.newer = 'guest';
      if (copy.carriage === 'merged') await this.#pull(source, copy);
      if (copy.carriage === 'merged' || (copy.carriage === 'read' && copy.isDirectory)) {
        await this.#forget(source, copy);
      }
    }
  }

  /** Before a tool of the host does something: it finds what steps left, and may change it. */
  async settle(): Promise<void> {
    for (const [source, copy] of this.#copies) {
      if (copy.newer === 'guest') await this.#pull(source, copy);
      if (copy.carriage === 'owned') copy.newer = 'host';
    }
  }

  async #push(source: string, carriage: Carriage, identity: string): Promise<Copy> {
    const { channel, tools } = this.#ground;
    this.#count += 1;
    const directory = `${PLACE}/${this.#count}`;
    const isDirectory = statSync(source).isDirectory();
    const from = isDirectory
      ? ['-C', source, '--', '.']
      : ['-h', '-C', dirname(source), '--', `./${basename(source)}`];
    const owner = tools.hasIds ? [] : ['--owner=0', '--group=0'];
    const tar = await tools.stream('tar', ['-c', '--numeric-owner', '-f', '-', ...owner, ...from]);
    if (tar.stdout === null) throw new Error('its output is read as it comes');
    const script = `mkdir -p -- ${directory} && cd -- ${directory} && tar -x -p -f -`;
    await performOrFail(channel, script, { input: tar.stdout });
    const result = await tar.exited;
    if (result.exitCode !== 0 && result.exitCode !== CHANGED) throw toolFailed('tar', result);
    const path = isDirectory ? directory : `${directory}/${basename(source)}`;
    return { carriage, path, isDirectory, identity, newer: 'nobody' };
  }

  async #pull(source: string, { path, isDirectory, carriage }: Copy): Promise<void> {
    const { channel, tools } = this.#ground;
    if (isDirectory && carriage === 'owned') await tools.run('find', [source, '-mindepth', '1', '-delete']);
    const owner = tools.hasIds ? ['-p', '--same-owner'] : ['-p', '--no-same-owner'];
    const into = isDirectory
      ? await tools.feed('tar', ['-x', '--numeric-owner', ...owner, '-C', source, '-f', '-'])
      : await tools.feed('dd', [`of=${source}`, 'status=none']);
    into.stdin?.on('error', () => {});
    const script = isDirectory ? `cd -- ${quote(path)} && tar -c -f - .` : `cat -- ${quote(path)}`;
    const status = await performOrFail(channel, script, {
      onOutput: (bytes, stream) => {
        if (stream === 'stdout' && into.stdin?.write(bytes) === false) return drained(into);
        return undefined;
      },
    }).finally(() => into.stdin?.end());
    const result = await into.exited;
    if (result.exitCode !== 0) throw toolFailed(isDirectory ? 'tar' : 'dd', result);
    return status;
  }

  async #forget(source: string, { path, isDirectory }: Copy): Promise<void> {
    this.#copies.delete(source);
    await performOrFail(this.#ground.channel, `rm -rf -- ${quote(isDirectory ? path : dirname(path))}`);
  }
}

/** @throws BangerError `tool_failed` with what a script said */
export async function performOrFail(
  channel: StepChannel,
  script: string,
  { input, onOutput }: Parameters<StepChannel['perform']>[1] = {},
): Promise<void> {
  const said: Buffer[] = [];
  const exitCode = await channel.perform(script, {
    ...(input === undefined ? {} : { input }),
    onOutput(bytes, stream) {
      if (stream === 'stderr') said.push(Buffer.from(bytes));
      return onOutput?.(bytes, stream);
    },
  });
  if (exitCode === 0) return;
  const stderr = Buffer.concat(said).toString();
  throw toolFailed('sh', { exitCode, stdout: '', stderr, durationMs: 0 });
}

/** Another file, or another content. */
function identityOf(path: string): string {
  const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
  return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
}
