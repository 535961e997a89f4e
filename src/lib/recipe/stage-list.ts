import { nearestTo } from '../nearest.ts';
import { didYouMean, mistake, type RecipeFaults, shown } from './faults.ts';
import { isCarriedOut } from './instruction.ts';
import { mountReferences } from './mount-fields.ts';
import type { Origin, Stage } from './recipe.ts';
import type { StageDraft } from './stage-draft.ts';

/** The stages of a file, and which of them take from which. */
export class StageList {
  readonly #stages: readonly StageDraft[];

  constructor(stages: readonly StageDraft[]) {
    this.#stages = stages;
  }

  /** What a stage begins from. A later stage is no earlier one, but an image may have the name of the stage that it begins. */
  baseOf({ ref, index }: StageDraft): Stage['from'] {
    if (ref === 'scratch') return { kind: 'scratch' };
    const stage = this.#named(ref, index);
    if (stage) return { kind: 'stage', index: stage.index };
    this.#refuseLater(ref, index + 1);
    return { kind: 'image', ref };
  }

  /**
   * What `--from` in stage `index` names: an earlier stage by name or number, or else an image.
   * @throws BangerError `usage`
   */
  originOf(ref: string, index: number): Origin {
    if (/[$\s\u0000-\u001f\u007f]/u.test(ref)) {
      throw mistake(
        `${shown(ref)}: no variables are replaced here`,
        'name a stage for it: FROM with the variable, AS a name',
      );
    }
    if (ref === 'scratch') throw mistake('scratch is empty: there is nothing to take from it');
    const stage = this.#named(ref, index);
    if (stage) return { kind: 'stage', index: stage.index };
    this.#refuseLater(ref, index);
    if (!/^\d+$/u.test(ref)) return { kind: 'image', ref };
    if (Number(ref) < index) return { kind: 'stage', index: Number(ref) };
    throw mistake(`there is no stage ${ref.slice(0, 20)} before this one`);
  }

  /** The stage to build: by name, by number, or the last. */
  target(wanted: string | undefined, faults: RecipeFaults): StageDraft | undefined {
    const count = this.#stages.length;
    if (count === 0) {
      faults.add(null, 'there is no FROM', 'begin with FROM and the name of an image, or FROM scratch');
      return undefined;
    }
    if (wanted === undefined) return this.#stages[count - 1];
    const found =
      this.#named(wanted, count) ?? (/^\d+$/u.test(wanted) ? this.#stages[Number(wanted)] : undefined);
    if (found === undefined) {
      const names = this.#stages.flatMap(({ name }) => name ?? []);
      const near = nearestTo(wanted.toLowerCase(), names);
      const all = names.length === 0 ? [] : [`its stages: ${names.slice(0, 20).join(', ')}`];
      faults.add(null, `there is no stage ${shown(wanted)}`, ...(near.length > 0 ? didYouMean(near) : all));
    }
    return found;
  }

  /** The stages that a target needs, itself among them, in their order. What refers to none is a fault wherever it is. */
  needed(target: StageDraft, faults: RecipeFaults): StageDraft[] {
    const uses = this.#stages.map((stage) => this.#usesOf(stage, faults));
    const needed = new Set([target.index]);
    // Stages take from earlier ones alone.
    for (let index = target.index; index >= 0; index -= 1) {
      if (needed.has(index)) for (const used of uses[index] ?? []) needed.add(used);
    }
    return this.#stages.filter(({ index }) => needed.has(index));
  }

  #usesOf(stage: StageDraft, faults: RecipeFaults): number[] {
    const origins = [faults.guard(stage.line, () => this.baseOf(stage))];
    for (const instruction of stage.instructions) {
      if (!isCarriedOut(instruction)) continue;
      const { keyword, flags, line } = instruction;
      const refs = keyword === 'RUN' ? flags.values('mount').flatMap(mountReferences) : flags.values('from');
      for (const ref of refs) origins.push(faults.guard(line, () => this.originOf(ref, stage.index)));
    }
    return origins.flatMap((origin) => (origin?.kind === 'stage' ? [origin.index] : []));
  }

  #named(ref: string, before: number): StageDraft | undefined {
    return this.#stages.findLast(({ name, index }) => index < before && name === ref.toLowerCase());
  }

  #refuseLater(ref: string, from: number): void {
    const later = this.#stages.find(({ name, index }) => index >= from && name === ref.toLowerCase());
    if (later) {
      throw mistake(
        `stage ${shown(ref)} begins in line ${later.line}, not before this one`,
        'put it further up',
      );
    }
  }
}
