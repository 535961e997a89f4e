import { createHash } from 'node:crypto';
import { realpathSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { openContext } from '../context/context.ts';
import { BangerError, errnoOf } from '../errors.ts';
import type { ImageRow } from '../store/schema.ts';
import { pathsOf } from './artifacts.ts';
import type { BuildStep } from './build-step.ts';

/** Changes when the same recipe would make another image: a new way of doing a step, another set of preset packages. */
const FORMAT = 'banger recipe 1';

/** What a build is told, as far as it decides what comes out. */
export interface BuildInputs {
  steps: readonly BuildStep[];
  size?: number | undefined;
  docker: boolean;
  preset?: string | undefined;
  network: string;
  ssh: boolean;
  kernel?: string | undefined;
  initrd?: string | undefined;
  modules?: string | undefined;
}

/** Where digests of files are remembered, and what ends the reading. */
export interface DigestGround {
  cacheDir: string;
  signal: AbortSignal;
}

/**
 * One digest of all that a build is told, but for its base: the options, the steps in their order, and the content, modes
 * and owners of the files that they take from this machine. Never times.
 * @returns SHA-256 in hex; null where a file cannot be read or copied whole, which the build will tell, or do without
 */
export async function digestInputs(options: BuildInputs, ground: DigestGround): Promise<string | null> {
  const { steps, size, docker, preset, network, ssh, kernel, initrd, modules } = options;
  try {
    const files = await Promise.all(
      [kernel, initrd, modules].map((path) => (path === undefined ? null : digestFile(path, ground))),
    );
    const all = await Promise.all(steps.map((step) => describeInput(step, ground)));
    return digestOf([FORMAT, { size, docker, preset, network, ssh }, files, all]);
  } catch (error) {
    if (error instanceof BangerError && error.code !== 'cancelled') return null;
    if (errnoOf(error) !== undefined) return null;
    throw error;
  }
}

/** The digest of a build: of its inputs and its base. A registered base is what its files are just now. */
export function recipeDigest(inputs: string | null, base: ImageRow): string | null {
  if (inputs === null) return null;
  const { rootfs_path, kernel_path, initrd_path, modules_dir } = base;
  const files = { rootfs: rootfs_path, kernel: kernel_path, initrd: initrd_path, modules: modules_dir };
  const identity = base.managed ? base.id : pathsOf({ ...files, workSeed: null }).map(identityOf);
  return digestOf([inputs, identity]);
}

function identityOf(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined
    ? ''
    : [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(':');
}

/** What a step depends on. */
async function describeInput(step: BuildStep, ground: DigestGround): Promise<unknown> {
  switch (step.kind) {
    case 'script':
      return [step.kind, await digestFile(step.path, ground)];
    case 'copy':
      // Into a directory that is there a file goes under its own name.
      return [step.kind, basename(step.source), step.target, await digestFile(step.source, ground)];
    case 'packages':
    case 'run':
    case 'env':
    case 'docker':
      return step;
  }
}

/** A file's or a tree's content and modes; all of it belongs to root in the image. */
async function digestFile(path: string, { cacheDir, signal }: DigestGround): Promise<string> {
  const real = realpathSync(path);
  const context = openContext({ directory: dirname(real), ignores: false, cacheDir, signal });
  const selection = await context.resolve([basename(real).replaceAll(/[\\*?[\]]/gu, '\\$&')]);
  return (await selection.digest()).sha256;
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
