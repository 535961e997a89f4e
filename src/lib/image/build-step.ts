import { isAbsolute, resolve } from 'node:path';
import { BangerError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { assertPackageName } from './packages.ts';

/** What a build does to the rootfs, in order. */
export type BuildStep =
  | { kind: 'packages'; names: string[] }
  | { kind: 'run'; command: string }
  | { kind: 'script'; path: string }
  | { kind: 'copy'; source: string; target: string }
  | { kind: 'env'; name: string; value: string }
  | { kind: 'docker' };

/** One that does something; a variable only says how. */
export type ActingStep = Exclude<BuildStep, { kind: 'env' }>;

const STEP_KINDS = ['package', 'run', 'script', 'copy', 'env'] as const;

/**
 * The steps among pairs of a kind and its text, in their order; pairs of other kinds are passed over.
 * @throws BangerError `usage`
 */
export function stepsFrom(pairs: readonly (readonly string[])[]): BuildStep[] {
  return pairs.flatMap(([name, text = '']) => {
    const kind = STEP_KINDS.find((known) => known === name);
    return kind === undefined ? [] : [parseStep(kind, text)];
  });
}

/**
 * A step from the one line of text that describes it.
 * @throws BangerError `usage`
 */
export function parseStep(kind: (typeof STEP_KINDS)[number], text: string): BuildStep {
  if (text === '') throw new BangerError('usage', `an empty ${kind} is no step`);
  switch (kind) {
    case 'package':
      assertPackageName(text);
      return { kind: 'packages', names: [text] };
    case 'run':
      return { kind: 'run', command: text };
    case 'script':
      return { kind: 'script', path: resolve(text) };
    case 'copy':
      return parseCopy(text);
    case 'env':
      return parseEnv(text);
  }
}

/**
 * `SRC:DEST`: a file or directory of the host, and an absolute path in the guest. The last colon divides them.
 * @throws BangerError `usage`
 */
function parseCopy(text: string): BuildStep {
  const colon = text.lastIndexOf(':');
  const source = text.slice(0, colon);
  const target = text.slice(colon + 1);
  if (colon < 1 || !isAbsolute(target) || target.split('/').includes('..')) {
    throw new BangerError('usage', `'${oneLine(text).slice(0, 120)}' does not say what to copy where`, {
      hints: ['write SOURCE:/absolute/path/in/the/image'],
    });
  }
  return { kind: 'copy', source: resolve(source), target };
}

/**
 * `NAME=VALUE`, for all steps that follow.
 * @throws BangerError `usage`
 */
function parseEnv(text: string): BuildStep {
  const equals = text.indexOf('=');
  const [name, value] = [text.slice(0, Math.max(equals, 0)), text.slice(equals + 1)];
  if (/^[A-Za-z_][A-Za-z0-9_]*$/u.test(name)) return { kind: 'env', name, value };
  // What might be the value is not repeated.
  const what =
    equals === -1
      ? 'a variable without ='
      : `'${oneLine(name).slice(0, 40)}', given as the name of a variable,`;
  throw new BangerError('usage', `${what} is not NAME=VALUE`, { hints: ['for example LANG=C.UTF-8'] });
}

/** Packages asked for one after the other are installed together. */
export function mergePackages(steps: readonly BuildStep[]): BuildStep[] {
  const merged: BuildStep[] = [];
  for (const step of steps) {
    const last = merged.at(-1);
    if (step.kind === 'packages' && last?.kind === 'packages') last.names.push(...step.names);
    else merged.push(step.kind === 'packages' ? { kind: 'packages', names: [...step.names] } : step);
  }
  return merged;
}

/** A step as it is named in the log and in errors; values of variables may be secrets and stay out of it. */
export function describeStep(step: BuildStep): string {
  switch (step.kind) {
    case 'packages':
      return `install ${step.names.join(' ')}`;
    case 'run':
      return `run ${step.command}`;
    case 'script':
      return `script ${step.path}`;
    case 'copy':
      return `copy ${step.source} to ${step.target}`;
    case 'env':
      return `env ${step.name}`;
    case 'docker':
      return 'install docker';
  }
}
