import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildLog } from '../build-log.ts';
import { messageOf } from '../errors.ts';
import type { Sandbox } from '../system/sandbox.ts';
import type { GuestBind } from '../system/sandbox-step.ts';
import { oneLine } from '../text.ts';
import type { AptUse } from './apt-use.ts';
import {
  APT_CACHE,
  APT_LISTS,
  findForgedIndex,
  type GuestApt,
  listedArchives,
  lookForApt,
} from './package-guest.ts';
import { type ListsKey, PackageStore, type PackageView } from './package-store.ts';
import { UPDATE_COMMAND } from './packages.ts';
import type { PackageCache } from './provision.ts';
import { digestOf } from './step-key.ts';

export interface PackageGround {
  sandbox: Sandbox;
  busybox: string;
  log: Pick<BuildLog, 'write'>;
  signal: AbortSignal;
}

type Env = Readonly<Record<string, string>>;

/** How long a repository may take before a command of the user's goes on without it, in seconds. */
const PATIENCE_S = 15;
/** What apt-get says when it fell back on what it had (older ones end with status 0 all the same). */
const COMPLAINT = /^(?:[WE]|Err)\b/u;

/** What is known of earlier builds that did the same step. */
export interface StepMemory {
  /** The key of the disk before it; null where nobody can say. */
  state: string | null;
  /** Whether it is to be done as if there had been none. */
  isAnew: boolean;
}

/** The package downloads of one stage of a build: a view of its own of what all builds share. */
export class StagePackages implements PackageCache {
  readonly #view: PackageView;
  readonly #store: PackageStore;
  readonly #ground: PackageGround;
  #use: AptUse['by'] = 'nobody';
  #apt: GuestApt | null = null;
  #binds: GuestBind[] = [];
  #wereListed = false;
  #memory: StepMemory = { state: null, isAnew: true };
  /** Whose lists were taken without asking the repositories. */
  #recent: ListsKey | null = null;
  /** For what the lists are as new as can be: variables and sources. */
  #freshFor: string | null = null;

  private constructor(view: PackageView, store: PackageStore, ground: PackageGround) {
    this.#view = view;
    this.#store = store;
    this.#ground = ground;
  }

  /** Makes an empty view at a path of the stage directory. */
  static async make(root: string, mountsDir: string, ground: PackageGround): Promise<StagePackages> {
    const [lists, cache] = [join(root, 'lists'), join(root, 'cache')];
    const archives = join(cache, 'archives');
    // apt wants its directories for unfinished downloads to be there (apt.conf(5), Dir). One by one: mkdir's `recursive`
    // tells a used-up quota as ENOENT (Node 24.21.0).
    for (const path of [root, lists, join(lists, 'partial'), cache, archives, join(archives, 'partial')]) {
      await mkdir(path);
      // apt's own user reads them, whatever our umask.
      await chmod(path, 0o755);
    }
    await writeFile(join(root, 'seen'), '');
    return new StagePackages({ root, lists, cache }, new PackageStore(mountsDir), ground);
  }

  get binds(): readonly GuestBind[] {
    return this.#binds;
  }

  /**
   * Before a step. `before`: the steps that come before it in its stage, for a command that counts on what they left, which
   * is gone where they are kept of an earlier build.
   */
  async begin(
    use: AptUse,
    before: readonly AptUse[],
    network: 'host' | 'none',
    memory: StepMemory,
  ): Promise<void> {
    this.#use = use.by;
    this.#binds = [];
    this.#memory = memory;
    this.#recent = null;
    if (use.by !== 'installs') this.#freshFor = null;
    if (use.by === 'nobody') return;
    const apt = await lookForApt(this.#view, this.#ground);
    this.#apt = apt;
    const { lists, cache } = this.#view;
    const isOurs = use.by === 'installs';
    const places = [
      ...(isOurs || apt.hasLists ? [{ source: lists, target: APT_LISTS, writable: true }] : []),
      ...(isOurs || (apt.hasLists && apt.hasCache)
        ? [{ source: cache, target: APT_CACHE, writable: true }]
        : []),
    ];
    this.#binds = places.filter(({ target }) => !use.mounts.some((mount) => areNested(mount, target)));
    const counts = use.asks || (!this.#wereListed && before.some(({ leavesLists }) => leavesLists));
    this.#wereListed ||= apt.isListed;
    if (isOurs || apt.isListed || !counts || network === 'none' || this.#binds.length < 2) return;
    await this.#prepare();
  }

  /** After a step, whether or not it succeeded: what it fetched is there for all. */
  async end({ hasFailed }: { hasFailed: boolean }): Promise<void> {
    const { sandbox } = this.#ground;
    if (this.#binds.length === 0) return;
    // Perhaps it asked for what is no longer there.
    if (hasFailed) await this.#forgetRecent();
    await this.#attempt('the packages that were fetched are not kept for other builds', () =>
      this.#store.keepArchives(this.#view, sandbox),
    );
  }

  /** Whatever a guest did with the place, whose files may belong to ids of the guest. */
  async remove(): Promise<void> {
    await this.#ground.sandbox.runTool('rm', ['-rf', '--', this.#view.root]);
  }

  async beginInstall(env: Env, update: () => Promise<void>): Promise<void> {
    const apt = this.#apt;
    if (this.#use !== 'installs' || apt === null)
      throw new Error('packages are installed in steps that say so');
    const wanted = JSON.stringify([apt.key, env]);
    if (this.#freshFor === wanted) return;
    await this.#haveLists(apt, { env, options: [], update: () => update().then(() => true) });
    this.#freshFor = wanted;
  }

  async renew(update: () => Promise<void>): Promise<boolean> {
    if (this.#recent === null) return false;
    this.#ground.log.write('package lists: they may be too old, and are fetched again');
    await this.#forgetRecent();
    await update();
    return true;
  }

  async #forgetRecent(): Promise<void> {
    const key = this.#recent;
    this.#recent = null;
    if (key === null) return;
    await this.#attempt('the package lists may be too old for the next build', () =>
      this.#store.forgetRecent(key, this.#ground.sandbox),
    );
  }

  /** Gives a command of the user's the lists that it may count on, and goes on without them where there are none. */
  async #prepare(): Promise<void> {
    const apt = this.#apt;
    if (apt === null) return;
    const patience = [
      '-o',
      `Acquire::http::Timeout=${PATIENCE_S}`,
      '-o',
      `Acquire::https::Timeout=${PATIENCE_S}`,
    ];
    const options = [...['-o', 'Acquire::Retries=0'], ...patience];
    const update = (): Promise<boolean> => this.#update({}, options);
    if (await this.#haveLists(apt, { env: {}, options, update })) {
      this.#wereListed = true;
      return;
    }
    this.#ground.log.write('package lists: none could be fetched before the step');
    await this.#emptyLists();
  }

  /** Fills the view with lists that are the newest, or are as good as that, and with the package files that they name. */
  async #haveLists(
    apt: GuestApt,
    { env, options, update }: { env: Env; options: readonly string[]; update: () => Promise<boolean> },
  ): Promise<boolean> {
    const { sandbox, log } = this.#ground;
    const { state, isAnew } = this.#memory;
    const key = { sources: apt.key, state: state === null ? null : digestOf([state, env]) };
    if (!isAnew && !apt.isListed && (await this.#store.takeRecent(key, this.#view, sandbox))) {
      log.write('package lists: asked for by an earlier build within the last hour');
      this.#recent = key;
    } else {
      const { taken, isRefused } = await this.#takeLists(apt, env, options);
      if (taken === null && !(await update())) return false;
      await this.#attempt('the package lists are not kept for other builds', () =>
        this.#store.keepLists(key, { taken, isForced: isRefused }, this.#view, sandbox),
      );
    }
    await this.#takeArchives();
    return true;
  }

  /**
   * Takes stored lists, which any guest may have left. They are used after the guest's own apt has asked the repositories
   * whether they are the newest, and checked their signatures; and each index is the one that was signed.
   * @returns the set that was taken
   */
  async #takeLists(
    apt: GuestApt,
    env: Env,
    options: readonly string[],
  ): Promise<{ taken: string | null; isRefused: boolean }> {
    const { sandbox, log } = this.#ground;
    const key = { sources: apt.key, state: null };
    const taken = apt.isListed ? null : await this.#store.takeLists(key, this.#view, sandbox);
    if (taken === null) return { taken, isRefused: false };
    // What belongs to no source of the guest has been checked by nobody, and must go.
    if (await this.#update(env, [...options, '-o', 'APT::Get::List-Cleanup=true'])) {
      const forged = await findForgedIndex(this.#binds, this.#ground);
      if (forged === null) return { taken, isRefused: false };
      log.write(oneLine(`package lists: ${forged} is not what its repository signed`));
    }
    log.write('package lists: those of earlier builds are not used');
    await this.#emptyLists();
    return { taken: null, isRefused: true };
  }

  /** Asks the repositories; false where anything is wrong. */
  async #update(env: Env, options: readonly string[]): Promise<boolean> {
    const { sandbox, log } = this.#ground;
    let isSound = true;
    log.write('package lists: apt-get update');
    const { exitCode } = await sandbox.run([...UPDATE_COMMAND.argv, ...options], {
      env,
      binds: this.#binds,
      processors: 'one',
      onLine(line) {
        log.write(`  ${line}`);
        if (COMPLAINT.test(line)) isSound = false;
      },
    });
    return exitCode === 0 && isSound;
  }

  /** Takes the package files of other builds that the lists name for this guest. */
  async #takeArchives(): Promise<void> {
    const stored = this.#store.archives();
    if (stored.length === 0) return;
    const listed = await listedArchives(stored, this.#binds, this.#ground);
    await this.#attempt('the packages that other builds fetched are not all used', () =>
      this.#store.takeArchives(listed, this.#view, this.#ground.sandbox),
    );
  }

  async #emptyLists(): Promise<void> {
    const { lists } = this.#view;
    await this.#ground.sandbox.runTool('find', [lists, '-mindepth', '1', '!', '-name', 'partial', '-delete']);
  }

  /** What only saves time is not worth a build. */
  async #attempt(complaint: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#ground.signal.throwIfAborted();
      this.#ground.log.write(oneLine(`${complaint}: ${messageOf(error)}`));
    }
  }
}

/** Whether one path is the other, or is below it: the mount of a step is not to be hidden, nor half of it. */
function areNested(one: string, other: string): boolean {
  return `${one}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${one}/`);
}
