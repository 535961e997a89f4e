import { evaluateStage } from './evaluate-stage.ts';
import { RecipeFaults } from './faults.ts';
import { parseInstructions } from './instruction.ts';
import { declaredArguments, notesOn } from './notes.ts';
import { proxiesFrom } from './predefined.ts';
import type { Recipe, Stage } from './recipe.ts';
import { draftStages } from './stage-draft.ts';
import { StageList } from './stage-list.ts';
import { StageState } from './stage-state.ts';

export interface RecipeSource {
  /** For messages. */
  path: string;
  text: string;
  /** Values given for ARG, by name. */
  buildArgs?: ReadonlyMap<string, string>;
  /** The stage to build, by its name or number; the last one by default. */
  target?: string | undefined;
}

/**
 * Reads a Containerfile and evaluates what its target needs (Dockerfile reference).
 * @throws BangerError `usage` that names every mistake with its line
 */
export function readRecipe({ path, text, buildArgs = new Map(), target: wanted }: RecipeSource): Recipe {
  const faults = new RecipeFaults(path);
  const nul = text.indexOf('\0');
  if (nul !== -1) faults.add(text.slice(0, nul).split('\n').length, 'this is no text: it holds a NUL byte');
  faults.throwIfAny();
  const parsed = parseInstructions(text, faults);
  const drafts = draftStages(parsed, { buildArgs, faults });
  const list = new StageList(drafts.stages);
  const target = list.target(wanted, faults);
  const needed = target ? list.needed(target, faults) : [];
  const declared = declaredArguments(parsed, faults);
  const states = new Map<number, StageState>();
  const stages: Stage[] = [];
  for (const draft of needed) {
    const { index } = draft;
    const around = { escaper: parsed.escaper, buildArgs, globals: drafts.globals, stages: list, index };
    const base = faults.guard(draft.line, () => list.baseOf(draft));
    const state = new StageState(base?.kind === 'stage' ? states.get(base.index) : undefined);
    states.set(index, state);
    stages.push(evaluateStage(draft, state, around, faults));
  }
  faults.throwIfAny();
  return {
    stages,
    labels: Object.fromEntries(states.get(target?.index ?? -1)?.labels ?? []),
    proxies: proxiesFrom(buildArgs),
    notes: notesOn(needed, { buildArgs, declared }),
  };
}
