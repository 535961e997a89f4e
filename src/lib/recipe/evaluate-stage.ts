import { readCopy } from './copy-step.ts';
import type { RecipeFaults } from './faults.ts';
import { type Instruction, isCarriedOut } from './instruction.ts';
import type { Stage, Step } from './recipe.ts';
import { readRun } from './run-step.ts';
import { applyArg, applyEnv, applyLabel, applyShell, applyUser, applyWorkdir } from './settings.ts';
import type { StageDraft } from './stage-draft.ts';
import type { StageState } from './stage-state.ts';
import type { Surroundings } from './surroundings.ts';

/** Carries a stage's settings along its instructions, and collects its steps. */
export function evaluateStage(
  draft: StageDraft,
  state: StageState,
  around: Surroundings,
  faults: RecipeFaults,
): Stage {
  const { index, name, line, title, instructions } = draft;
  const steps: Step[] = [];
  for (const instruction of instructions) {
    if (!isCarriedOut(instruction)) continue;
    const step = faults.guard(instruction.line, () => evaluate(instruction, state, around));
    if (step) steps.push(step);
  }
  const from = faults.guard(line, () => around.stages.baseOf(draft)) ?? { kind: 'scratch' };
  return { index, name, line, title, from, steps };
}

function evaluate(instruction: Instruction, state: StageState, around: Surroundings): Step | undefined {
  switch (instruction.keyword) {
    case 'RUN':
      return readRun(instruction, state, around);
    case 'COPY':
    case 'ADD':
      return readCopy(instruction, state, around);
    case 'WORKDIR':
      return applyWorkdir(instruction, state, around);
    case 'ENV':
      applyEnv(instruction, state, around);
      return undefined;
    case 'ARG':
      applyArg(instruction, state, around);
      return undefined;
    case 'LABEL':
      applyLabel(instruction, state, around);
      return undefined;
    case 'USER':
      applyUser(instruction, state, around);
      return undefined;
    case 'SHELL':
      applyShell(instruction, state);
      return undefined;
    case 'FROM':
      return undefined;
  }
}
