import { nearestTo } from '../nearest.ts';
import { type RecipeFaults, shown } from './faults.ts';
import { isCarriedOut, type ParsedRecipe } from './instruction.ts';
import { MEANINGLESS, type MeaninglessKeyword } from './keywords.ts';
import { parseArguments } from './pairs.ts';
import { isPredefined, isThisPlatform, machinePlatform } from './predefined.ts';
import type { StageDraft } from './stage-draft.ts';

/** What was read in the stages that are built, or was given, and has no effect. */
export function notesOn(
  stages: readonly StageDraft[],
  { buildArgs, declared }: { buildArgs: ReadonlyMap<string, string>; declared: readonly string[] },
): string[] {
  return [...meaninglessIn(stages), ...otherPlatformsIn(stages), ...unusedAmong(buildArgs, declared)];
}

/** The names that an ARG declares, anywhere in the file. */
export function declaredArguments({ instructions, escaper }: ParsedRecipe, faults: RecipeFaults): string[] {
  return instructions.flatMap((instruction) => {
    if (instruction.keyword !== 'ARG') return [];
    const found = faults.guard(instruction.line, () => parseArguments(instruction.rest, escaper));
    return found?.map(({ name }) => name) ?? [];
  });
}

/** Each kind once. */
function meaninglessIn(stages: readonly StageDraft[]): string[] {
  const first = new Map<MeaninglessKeyword, number>();
  for (const instruction of stages.flatMap(({ instructions }) => instructions)) {
    if (isCarriedOut(instruction) || first.has(instruction.keyword)) continue;
    first.set(instruction.keyword, instruction.line);
  }
  return [...first].map(
    ([keyword, line]) => `${keyword} in line ${line} has no effect: ${MEANINGLESS[keyword]}`,
  );
}

function otherPlatformsIn(stages: readonly StageDraft[]): string[] {
  return stages
    .filter(({ platform }) => platform !== undefined && !isThisPlatform(platform))
    .map(
      ({ line }) =>
        `--platform in line ${line} has no effect: images are as they are, and this machine is ${machinePlatform()}`,
    );
}

function unusedAmong(buildArgs: ReadonlyMap<string, string>, declared: readonly string[]): string[] {
  return [...buildArgs.keys()]
    .filter((name) => !declared.includes(name) && !isPredefined(name))
    .map((name) => {
      const [near] = nearestTo(name, declared);
      return `no ARG declares ${shown(name)}: its value is not used${near === undefined ? '' : `. Did you mean ${near}?`}`;
    });
}
