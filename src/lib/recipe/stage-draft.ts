import { expandWord } from './expand.ts';
import { mistake, type RecipeFaults, shown } from './faults.ts';
import type { Instruction, MeaninglessInstruction, ParsedRecipe } from './instruction.ts';
import { evaluateArgument, parseArguments } from './pairs.ts';
import { platformArgs } from './predefined.ts';
import { type Escape, splitPlain } from './words.ts';

/** A stage whose FROM is evaluated, and nothing else of it. */
export interface StageDraft {
  index: number;
  name: string | null;
  line: number;
  title: string;
  /** What FROM names, variables replaced. */
  ref: string;
  /** As FROM gives it, variables replaced. */
  platform: string | undefined;
  instructions: (Instruction | MeaninglessInstruction)[];
}

export interface Drafts {
  stages: StageDraft[];
  /** Arguments from before the first FROM: for FROM itself, and for a stage that declares them again. */
  globals: Map<string, string>;
}

/** Divides instructions into stages. */
export function draftStages(
  { escaper, instructions }: ParsedRecipe,
  { buildArgs, faults }: { buildArgs: ReadonlyMap<string, string>; faults: RecipeFaults },
): Drafts {
  const stages: StageDraft[] = [];
  const globals = platformArgs(buildArgs);
  let isTold = !instructions.some(({ keyword }) => keyword === 'FROM');
  for (const instruction of instructions) {
    const { keyword, line } = instruction;
    const stage = stages.at(-1);
    if (keyword === 'FROM') {
      const from = faults.guard(line, () => readFrom(instruction, globals, escaper));
      const head = from ?? { name: null, ref: 'scratch', platform: undefined };
      stages.push({ ...head, index: stages.length, line, title: instruction.title, instructions: [] });
    } else if (stage) stage.instructions.push(instruction);
    else if (keyword === 'ARG') {
      faults.guard(line, () => {
        for (const argument of parseArguments(instruction.rest, escaper)) {
          const value = evaluateArgument(argument, { variables: globals, escaper, buildArgs });
          if (value !== undefined) globals.set(argument.name, value);
        }
      });
    } else if (!isTold) {
      faults.add(
        line,
        `${keyword} stands before the first FROM`,
        'begin with FROM and the name of an image, or FROM scratch',
      );
      isTold = true;
    }
  }
  return { stages, globals };
}

type Head = Pick<StageDraft, 'name' | 'ref' | 'platform'>;

function readFrom({ rest, flags }: Instruction, globals: ReadonlyMap<string, string>, escaper: Escape): Head {
  const [written, as, name, ...more] = splitPlain(rest);
  if (written === undefined) throw mistake('FROM names no image', 'write FROM IMAGE, or FROM scratch');
  if (as !== undefined && (as.toLowerCase() !== 'as' || name === undefined || more.length > 0)) {
    throw mistake(
      `FROM ${shown(rest)} is neither an image nor an image AS a name`,
      'write FROM IMAGE AS NAME',
    );
  }
  const ref = expandWord(written, globals, escaper);
  if (ref === '')
    throw mistake(`${shown(written)} is empty`, 'give its variables a default in an ARG before FROM');
  if (/[\s\u0000-\u001f\u007f]/u.test(ref)) throw mistake(`${shown(written)} is not the name of an image`);
  const platform = flags.value('platform');
  return {
    ref,
    name: name === undefined ? null : readName(name),
    platform: platform === undefined ? undefined : expandWord(platform, globals, escaper),
  };
}

function readName(written: string): string {
  const name = written.toLowerCase();
  if (!/^[a-z][a-z0-9._-]*$/u.test(name)) {
    throw mistake(
      `${shown(written)} is not the name of a stage`,
      'use letters, digits, ".", "_" and "-", beginning with a letter',
    );
  }
  if (name === 'scratch') throw mistake("a stage cannot be named 'scratch', which is the empty image");
  return name;
}
