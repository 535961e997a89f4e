import type { CopyStep, Mount, Origin, RunStep, Step } from '../recipe/recipe.ts';
import { inStep, nameStep, noContext, type StepSurroundings } from './recipe-surroundings.ts';
import { type StepInput, stepInput } from './step-key.ts';

export interface InputSources extends Pick<StepSurroundings, 'context'> {
  /** What identifies the content of a stage or an image. */
  keyOf(origin: Origin): string;
}

/**
 * What the result of a step depends on, beside the state before it. Never a time, a secret or a proxy, nor what a cache holds.
 * @throws PreflightError for files of the context that are missing, or cannot be read
 */
export function inputsOfStep(step: Step, sources: InputSources): Promise<StepInput[]> {
  return inStep(nameStep(step, step.title), async () => {
    switch (step.kind) {
      case 'run':
        return inputsOfRun(step, sources);
      case 'copy':
        return inputsOfCopy(step, sources);
      case 'workdir':
        return [stepInput('instruction', [step.kind, step.path, step.user])];
    }
  });
}

async function inputsOfRun(step: RunStep, sources: InputSources): Promise<StepInput[]> {
  const { kind, argv, script, cwd, user, network, mounts, env, argNames } = step;
  const inputs = [
    stepInput('instruction', [kind, argv, script, cwd, user, network, mounts.map(definitionOf)]),
  ];
  for (const name of Object.keys(env).sort()) {
    inputs.push(stepInput(`${argNames.includes(name) ? 'build argument' : 'env'} ${name}`, env[name]));
  }
  for (const [index, mount] of mounts.entries()) {
    // Two may be in the same place, one over the other.
    const name = `mount ${index} ${mount.target}`;
    if (mount.type === 'bind') {
      inputs.push(await originInput(name, mount.from, sources, () => select(mount.source)));
    } else if (mount.type === 'cache' && mount.from !== null) {
      inputs.push(stepInput(name, sources.keyOf(mount.from.origin)));
    }
  }
  return inputs;

  async function select(source: string): Promise<string> {
    const place = await contextOf(step, sources).select(source);
    return (await place.digest()).sha256;
  }
}

async function inputsOfCopy(step: CopyStep, sources: InputSources): Promise<StepInput[]> {
  const { kind, from, files, target, targetIsDirectory, unpack, parents, chown, chmod, excludes } = step;
  const own = from.kind === 'context' ? from : 'an origin';
  const how = [target, targetIsDirectory, unpack, parents, chown, chmod, excludes];
  const inputs = [stepInput('instruction', [kind, own, step.sources, files, ...how])];
  if (step.sources.length === 0) return inputs;
  const digest = async (): Promise<string> => {
    const selection = await contextOf(step, sources).resolve(step.sources, {
      ...{ exclude: excludes, parents },
      owner: chown ?? '0:0',
    });
    return (await selection.digest()).sha256;
  };
  return [...inputs, await originInput('files', from, sources, digest)];
}

async function originInput(
  name: string,
  from: CopyStep['from'],
  { keyOf }: InputSources,
  digest: () => Promise<string>,
): Promise<StepInput> {
  return stepInput(name, from.kind === 'context' ? await digest() : keyOf(from));
}

function contextOf(step: Step, { context }: InputSources): NonNullable<InputSources['context']> {
  if (context === null) throw noContext(nameStep(step, step.title));
  return context;
}

/** How a mount is written; what comes with it is an input of its own. */
function definitionOf(mount: Mount): unknown {
  switch (mount.type) {
    case 'bind': {
      const { type, source, target, readonly } = mount;
      return [type, source, target, readonly];
    }
    case 'cache': {
      const { type, id, target, readonly, sharing, from, mode, uid, gid } = mount;
      return [type, id, target, readonly, sharing, from?.source ?? null, mode, uid, gid];
    }
    case 'tmpfs':
      return [mount.type, mount.target, mount.size];
    case 'secret': {
      const { type, id, target, env, required, mode, uid, gid } = mount;
      return [type, id, target, env, required, mode, uid, gid];
    }
  }
}
