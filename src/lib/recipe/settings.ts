import { posix } from 'node:path';
import { mistake, shown } from './faults.ts';
import type { Instruction } from './instruction.ts';
import { readOwner } from './owner.ts';
import { evaluateArgument, parseArguments, parsePairs } from './pairs.ts';
import type { WorkdirStep } from './recipe.ts';
import type { StageState } from './stage-state.ts';
import type { Surroundings } from './surroundings.ts';
import { parseJsonArray } from './words.ts';

// Instructions that do nothing by themselves: they say how those after them are carried out.

export function applyEnv({ rest }: Instruction, state: StageState, { escaper }: Surroundings): void {
  for (const { name, value } of expandPairs('ENV', rest, state, escaper)) state.variables.setEnv(name, value);
}

export function applyLabel({ rest }: Instruction, state: StageState, { escaper }: Surroundings): void {
  for (const { name, value } of expandPairs('LABEL', rest, state, escaper)) state.setLabel(name, value);
}

/** All of them before one is set: `ENV a=1 b=$a` gives b what a was before. */
function expandPairs(
  keyword: 'ENV' | 'LABEL',
  rest: string,
  state: StageState,
  escaper: Surroundings['escaper'],
): { name: string; value: string }[] {
  return parsePairs(keyword, rest, escaper).map(({ name, value }) => ({
    name: state.expand(name, escaper),
    value: state.expand(value, escaper),
  }));
}

/** Of an argument without a default here, that from before the first FROM. */
export function applyArg({ rest }: Instruction, state: StageState, around: Surroundings): void {
  const { escaper, buildArgs, globals } = around;
  for (const argument of parseArguments(rest, escaper)) {
    const here = evaluateArgument(argument, { variables: state.variables, escaper, buildArgs });
    const value = here ?? globals.get(argument.name);
    if (value !== undefined) state.variables.setArg(argument.name, value);
  }
}

export function applyUser({ rest }: Instruction, state: StageState, { escaper }: Surroundings): void {
  if (rest === '') throw mistake('USER names nobody', 'write USER NAME');
  state.user = readOwner(rest, state.expand(rest, escaper));
}

export function applyShell({ rest }: Instruction, state: StageState): void {
  const shell = parseJsonArray(rest);
  if (shell === undefined || shell.length === 0) {
    throw mistake(`SHELL ${shown(rest)} is not an array of strings`, 'write SHELL ["/bin/bash", "-c"]');
  }
  state.shell = shell;
}

export function applyWorkdir(
  { rest, line, title }: Instruction,
  state: StageState,
  { escaper }: Surroundings,
): WorkdirStep {
  const path = state.expand(rest, escaper);
  if (path === '') throw mistake(`WORKDIR ${shown(rest)} names no directory`, 'write WORKDIR /a/path');
  state.cwd = posix.resolve('/', state.cwd, path);
  return { kind: 'workdir', line, title, path: state.cwd, user: state.user };
}
