import { isTerminal } from '../output.ts';
import type { ProgressMode } from '../progress.ts';
import { parseSize } from '../size.ts';
import { machineFrom } from './boot-trial.ts';
import type { BuildOptions } from './build-plan.ts';
import { buildSource, type TypedSource } from './build-source.ts';
import { stepsFrom } from './build-step.ts';
import type { BuilderKind } from './builder.ts';
import { gateFrom, type TypedGate } from './gate.ts';
import type { Preset } from './preset.ts';
import { replaceFrom, type TypedReplace } from './replace.ts';

/** The flags of a build, as they are typed. */
export interface TypedBuild extends TypedSource, TypedReplace, TypedGate {
  replace?: boolean;
  size?: string | undefined;
  docker: boolean;
  kernel?: string | undefined;
  initrd?: string | undefined;
  modules?: string | undefined;
  preset?: Preset | undefined;
  network: 'host' | 'none';
  builder: BuilderKind | 'auto';
  'no-ssh'?: boolean;
  reproducible?: boolean;
  'no-cache'?: boolean;
  'no-cache-filter'?: readonly string[] | undefined;
  refresh?: boolean;
  'shell-on-failure'?: boolean;
  'log-file'?: string | undefined;
}

export interface TypedPlaces {
  name: string | undefined;
  context: string | undefined;
}

/**
 * What a build is told, from what was typed.
 * @param order flags with their values, in the order in which they were given: a parser sorts values by flag
 * @throws BangerError `usage`
 */
export function buildOptions(
  typed: TypedBuild,
  { name, context }: TypedPlaces,
  order: readonly (readonly string[])[],
  progress: ProgressMode,
): BuildOptions {
  const { docker, kernel, initrd, modules, preset, network, replace, size } = typed;
  const shellOnFailure = typed['shell-on-failure'] === true && isTerminal(0) && isTerminal(2);
  return {
    ...{ name, docker, kernel, initrd, modules, preset, network },
    // What redraws itself would write over a shell.
    progress: shellOnFailure && progress === 'live' ? 'plain' : progress,
    shellOnFailure,
    source: buildSource(context, typed),
    steps: stepsFrom(order),
    builder: { kind: typed.builder, ...machineFrom(typed) },
    size: size === undefined ? undefined : parseSize(size),
    ssh: typed['no-ssh'] !== true,
    reproducible: typed.reproducible === true,
    anew: typed['no-cache'] ? 'everything' : typed.refresh ? 'packages' : 'nothing',
    anewStages: typed['no-cache-filter'] ?? [],
    replace: replace ? replaceFrom(typed) : undefined,
    gate: gateFrom(typed),
    logFile: typed['log-file'],
    mendOf: (artifact) => `mend the base, or give another: --${artifact}`,
  };
}
