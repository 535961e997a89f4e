import { statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BuildLog } from '../build-log.ts';
import { messageOf, PreflightError } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import type { CloneMethod } from '../system/clone.ts';
import { roomFault } from '../system/room.ts';
import type { Sandbox } from '../system/sandbox.ts';
import type { ImageCopy } from '../system/sandbox-copy.ts';
import type { CachedFacts, KeyedStep } from './build-program.ts';
import type { CachedStep } from './kept-steps.ts';
import type { StepCache } from './step-cache.ts';

export interface KeeperGround {
  cache: StepCache;
  /** A path of the stage directory where there is nothing yet. */
  newPath(): Promise<string>;
  log: BuildLog;
  note(message: string): void;
  signal: AbortSignal;
}

/** A stage's root filesystem, mounted, as its last step left it. */
export interface OpenStage {
  rootfs: string;
  sandbox: Sandbox;
  facts: CachedFacts;
  /** Settles when all that is to be kept is; the last of it. */
  kept: Promise<CachedStep | null>;
}

const SECTOR = 512;

/** Has the states after steps kept, beside the steps that follow. A state that cannot be kept is no reason to fail. */
export class StateKeeper {
  readonly #ground: KeeperGround;
  readonly #keeping = new Set<Promise<unknown>>();
  /** Null as long as nothing was copied within the filesystem. */
  #sharesExtents: boolean | null = null;
  /** How long the last copy took, in milliseconds. */
  #copyMs = 0;

  constructor(ground: KeeperGround) {
    this.#ground = ground;
  }

  /** Settles when all that was begun is kept, or given up. */
  async settled(): Promise<void> {
    await Promise.all(this.#keeping);
  }

  /** A copy of a root filesystem was made, within the filesystem of the state directory. */
  tookToCopy(method: CloneMethod, startedAt: number): void {
    this.#sharesExtents = method === 'reflink';
    this.#copyMs = performance.now() - startedAt;
  }

  /**
   * Where a state has to be copied in full, the target's last one is part of the result already, and what no user asked for
   * is kept when it saves more than the copy takes.
   * @param unkeptMs how long it took to come there from the last state that was kept
   */
  isWorthKeeping(unkeptMs: number, { isPreparation }: KeyedStep, isFinished: boolean): boolean {
    const { limitBytes, copies } = this.#ground.cache;
    if (limitBytes === 0) return false;
    if (this.#sharesExtents) return true;
    return !isFinished && ((copies === 'every' && !isPreparation) || unkeptMs >= this.#copyMs);
  }

  /**
   * Copies the state after a step, and has it kept beside the next step.
   * @param base what the stage's first state was made from
   * @returns false when it could not be copied
   */
  async keep(step: KeyedStep & { key: string }, open: OpenStage, base: string | null): Promise<boolean> {
    const { newPath, signal } = this.#ground;
    // One at a time: what has not been written out yet takes room, too.
    if (!this.#sharesExtents) await open.kept;
    let directory: string | null = null;
    let copy: ImageCopy;
    try {
      if (!this.#sharesExtents) requireAmpleRoom(open.rootfs, 2);
      directory = await newPath();
      await mkdir(directory);
      const startedAt = performance.now();
      copy = await open.sandbox.copyTo(join(directory, ARTIFACT_FILES.rootfs));
      this.tookToCopy(copy.method, startedAt);
      // Now all that the step has written is there to be counted.
      if (!this.#sharesExtents) requireAmpleRoom(open.rootfs, 1);
    } catch (error) {
      signal.throwIfAborted();
      await this.#giveUp(step, directory, error);
      return false;
    }
    const { facts, kept: before } = open;
    open.kept = this.#admit(step, { copy, directory, facts, base, before });
    // Whoever waits for it is told, be it long after it has failed.
    open.kept.catch(() => {});
    this.#keeping.add(open.kept);
    return true;
  }

  /** @returns the last state that is kept, which may be the one before */
  async #admit(
    step: KeyedStep & { key: string },
    state: {
      copy: ImageCopy;
      directory: string;
      facts: CachedFacts;
      base: string | null;
      before: Promise<CachedStep | null>;
    },
  ): Promise<CachedStep | null> {
    const { key, beforeKey, title, inputs } = step;
    const { copy, directory, facts, base, before } = state;
    const parent = await before;
    try {
      await copy.finish();
      const made = { kind: 'step', key, stateKey: key, beforeKey, parent, title, inputs } as const;
      const kept = await this.#ground.cache.keep({ ...made, facts, directory, base });
      if (kept === null)
        this.#say(`the state after '${title}' is not kept: cache_limit leaves no room for it`);
      return kept ?? parent;
    } catch (error) {
      await this.#giveUp(step, directory, error);
      return parent;
    }
  }

  async #giveUp({ title }: KeyedStep, directory: string | null, error: unknown): Promise<void> {
    this.#say(`the state after '${title}' is not kept: ${messageOf(error)}`);
    if (directory === null) return;
    try {
      await rm(directory, { recursive: true, force: true });
    } catch (failure) {
      // It goes with the stage directory.
      this.#say(`its half copy cannot be removed: ${messageOf(failure)}`);
    }
  }

  #say(message: string): void {
    this.#ground.log.write(message);
    this.#ground.note(message);
  }
}

/** A full copy must leave as much again: the build itself may still need it, and is worth more than what it leaves. */
function requireAmpleRoom(rootfs: string, times: number): void {
  const wanted = { bytes: times * statSync(rootfs).blocks * SECTOR, inodes: 0 };
  const fault = roomFault(dirname(rootfs), wanted);
  if (fault !== null) throw new PreflightError('a full copy', [fault]);
}
