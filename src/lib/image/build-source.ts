import { openContext } from '../context/context.ts';
import { BangerError } from '../errors.ts';
import { parseBuildArguments } from '../recipe/build-arguments.ts';
import { imagesOf } from '../recipe/images.ts';
import { readRecipe } from '../recipe/read.ts';
import type { Recipe } from '../recipe/recipe.ts';
import { findRecipeFile, readRecipeFile, readRecipeInput } from '../recipe/recipe-file.ts';
import { oneLine } from '../text.ts';
import type { Readings } from '../workspace.ts';
import { type BaseImage, readBase } from './base-image.ts';
import type { BuildProgram } from './build-program.ts';
import { planRecipe } from './recipe-program.ts';
import { readSecrets } from './secrets.ts';

/** What a build is told by: one image to begin from, or a recipe. */
export type BuildSource = { kind: 'image'; ref: string } | RecipeSource;

export interface RecipeSource {
  kind: 'recipe';
  /** The file; that of the context when absent. */
  file?: string | undefined;
  /** The directory that COPY takes files from. */
  context: string;
  /** `NAME=VALUE`, or `NAME` for what the environment has. */
  buildArgs: readonly string[];
  /** The stage to build; the last one when absent. */
  target?: string | undefined;
  /** As readSecrets takes them. */
  secrets: readonly string[];
  /** What FROM scratch begins with. */
  flavor?: 'busybox' | undefined;
}

/** As a file: the recipe comes on standard input. */
const STDIN = '-';

/** The same as it is typed. */
export interface TypedSource {
  'from-image'?: string | undefined;
  file?: string | undefined;
  'build-arg'?: readonly string[] | undefined;
  target?: string | undefined;
  secret?: readonly string[] | undefined;
  flavor?: 'busybox' | undefined;
}

/** What a command line says of it; one of image and recipe is there. */
export function buildSource(context: string | undefined, typed: TypedSource): BuildSource {
  const { file, target, flavor } = typed;
  const ref = typed['from-image'];
  if (ref === undefined) {
    const [buildArgs, secrets] = [typed['build-arg'] ?? [], typed.secret ?? []];
    return { kind: 'recipe', file, context: context ?? '.', buildArgs, target, secrets, flavor };
  }
  if (context === undefined) return { kind: 'image', ref };
  throw new BangerError('usage', `${oneLine(context)}: a build without a recipe has no context`, {
    hints: ['copy from anywhere: --copy SRC:DEST', 'or leave --from-image out, and give the recipe'],
  });
}

/** What a build is told, read. */
export interface KnownProgram {
  program: BuildProgram;
  /** Every image that it takes something from, by what it is called. */
  bases: ReadonlyMap<string, BaseImage>;
  /** The one that the target begins from, and has its kernel of; null where it begins from nothing. */
  base: BaseImage | null;
  /** How a root filesystem is made from nothing, where that is asked for. */
  scratch: Scratch | null;
  /** What of it has no effect, a sentence each. */
  notes: readonly string[];
}

export interface Scratch {
  /** What decides what comes out. */
  identity: unknown;
  make(rootfs: string, signal: AbortSignal): Promise<void>;
}

/** What is read to know it. */
export type ProgramGround = Pick<Readings, 'store' | 'config' | 'layout'> & { signal: AbortSignal };

/**
 * @throws BangerError `not_found` for images that are not there, `usage` for a recipe that makes no sense;
 * PreflightError for files that cannot be read
 */
export async function readProgram(
  workspace: ProgramGround,
  { source, network, size }: { source: BuildSource; network: string; size?: number | undefined },
): Promise<KnownProgram> {
  const { store, config, layout, signal } = workspace;
  if (source.kind === 'image') {
    const { ref } = source;
    const base = readBase(store, ref);
    const stage = { index: 0, name: null, title: ref, from: source, steps: [] };
    const program = { stages: [stage], labels: {} };
    return { program, bases: new Map([[ref, base]]), base, scratch: null, notes: [] };
  }
  const path = source.file === STDIN ? null : findRecipeFile(source.context, source.file);
  const recipe = readRecipe({
    path: path ?? 'standard input',
    text: path === null ? readRecipeInput() : readRecipeFile(path),
    buildArgs: parseBuildArguments(source.buildArgs),
    target: source.target,
  });
  const bases = new Map(imagesOf(recipe).map((ref) => [ref, readBase(store, ref)]));
  const context = openContext({
    directory: source.context,
    recipePath: path ?? undefined,
    cacheDir: config.cacheDir,
    signal,
  });
  const secrets = readSecrets(source.secrets, process.env);
  const stages = await planRecipe(recipe, { context, secrets, mountsDir: layout.mountsDir, network });
  const ref = baseOf(recipe);
  return {
    program: { stages, labels: recipe.labels },
    bases,
    base: ref === null ? null : (bases.get(ref) ?? null),
    scratch: await scratchOf(recipe, source, size, { cacheDir: config.cacheDir, signal }),
    notes: recipe.notes,
  };
}

/** The image that the target begins from, through the stages below it; null for none. */
function baseOf({ stages }: Recipe): string | null {
  let stage = stages.at(-1);
  while (stage?.from.kind === 'stage') {
    const { index } = stage.from;
    stage = stages.find((one) => one.index === index);
  }
  return stage?.from.kind === 'image' ? stage.from.ref : null;
}

async function scratchOf(
  { stages }: Recipe,
  { flavor }: RecipeSource,
  size: number | undefined,
  ground: { cacheDir: string; signal: AbortSignal },
): Promise<Scratch | null> {
  const stage = stages.find(({ from }) => from.kind === 'scratch');
  if (stage === undefined) return null;
  if (flavor === undefined) {
    throw new BangerError(
      'usage',
      `line ${stage.line}: FROM scratch does not say what a machine boots into`,
      {
        hints: ['say what to begin with: --flavor busybox', 'or begin from an image: banger image list'],
      },
    );
  }
  const [
    { BUSYBOX_SIZE, BUSYBOX_TREE, LEAST_SIZE, makeBusyboxRootfs },
    { findStaticBusybox },
    { digestPath },
  ] = await Promise.all([
    import('./busybox-flavor.ts'),
    import('../system/static-busybox.ts'),
    import('./digest-path.ts'),
  ]);
  const busybox = await findStaticBusybox();
  const sizeBytes = size ?? BUSYBOX_SIZE;
  if (sizeBytes < LEAST_SIZE)
    throw new BangerError('usage', `busybox wants ${LEAST_SIZE / 2 ** 20} MiB at least`);
  return {
    identity: [await digestPath(busybox, ground), sizeBytes, BUSYBOX_TREE],
    make: (rootfs, signal) => makeBusyboxRootfs(rootfs, busybox, { sizeBytes, signal }),
  };
}
