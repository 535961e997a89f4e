import { nearestTo } from '../nearest.ts';
import { oneLine } from '../text.ts';
import { readDirectives } from './directives.ts';
import { didYouMean, mistake, type RecipeFaults, shown } from './faults.ts';
import { Flags } from './flags.ts';
import { type HereDocument, markersIn } from './here-document.ts';
import {
  INSTRUCTIONS,
  isKeyword,
  isMeaningless,
  type Keyword,
  MEANINGLESS,
  type MeaninglessKeyword,
} from './keywords.ts';
import { PhysicalLines } from './physical-lines.ts';
import { type Escape, splitFlags } from './words.ts';

/** Far more than any recipe has; each may take some memory. */
const MOST_INSTRUCTIONS = 1024;
const LONGEST_TITLE = 200;

/** One of those that are carried out. */
export interface Instruction {
  keyword: Keyword;
  /** Where it begins, from 1. */
  line: number;
  title: string;
  flags: Flags;
  /** What follows the flags, lines joined, nothing replaced. */
  rest: string;
  documents: HereDocument[];
}

export interface MeaninglessInstruction {
  keyword: MeaninglessKeyword;
  line: number;
}

export interface ParsedRecipe {
  escaper: Escape;
  instructions: (Instruction | MeaninglessInstruction)[];
}

/** Divides a file into instructions. What is wrong with one does not keep the others from being read. */
export function parseInstructions(text: string, faults: RecipeFaults): ParsedRecipe {
  const instructions: ParsedRecipe['instructions'] = [];
  const lines = new PhysicalLines(text);
  const escaper = readDirectives(lines, faults);
  while (!lines.isDone) {
    const line = lines.number;
    const joined = lines.takeJoined(escaper);
    if (joined === '') continue;
    if (instructions.length === MOST_INSTRUCTIONS) {
      faults.add(line, `a recipe may have ${MOST_INSTRUCTIONS} instructions, and here begins one more`);
      break;
    }
    const instruction = faults.guard(line, () => parseInstruction(joined, line, lines));
    if (instruction) instructions.push(instruction);
  }
  return { escaper, instructions };
}

function parseInstruction(
  joined: string,
  line: number,
  lines: PhysicalLines,
): Instruction | MeaninglessInstruction {
  const word = joined.split(/\s/u, 1).join('');
  const after = joined.slice(word.length);
  const keyword = word.toUpperCase();
  const documents = /^(?:RUN|COPY|ADD|ONBUILD\s+(?:RUN|COPY|ADD))\s/iu.test(joined)
    ? markersIn(after).map((marker) => lines.takeDocument(marker))
    : [];
  if (isMeaningless(keyword)) return { keyword, line };
  if (!isKeyword(keyword)) {
    const known = [...Object.keys(INSTRUCTIONS), ...Object.keys(MEANINGLESS)];
    throw mistake(`there is no instruction ${shown(word)}`, ...didYouMean(nearestTo(keyword, known)));
  }
  const { flags, rest } = splitFlags(after);
  return { keyword, line, title: titleOf(joined), flags: new Flags(keyword, flags), rest, documents };
}

function titleOf(joined: string): string {
  // Long enough to be cut: what is beyond need not be looked at.
  const title = oneLine(joined.slice(0, 10 * LONGEST_TITLE)).replaceAll(/ +/gu, ' ');
  return title.length > LONGEST_TITLE ? `${title.slice(0, LONGEST_TITLE - 1)}…` : title;
}
