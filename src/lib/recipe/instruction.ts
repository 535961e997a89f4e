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

export function isCarriedOut(one: Instruction | MeaninglessInstruction): one is Instruction {
  return isKeyword(one.keyword);
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
    const words = faults.guard(line, () => divide(joined, lines));
    if (words === undefined) continue;
    const { keyword, after, documents } = words;
    if (isMeaningless(keyword)) instructions.push({ keyword, line });
    else {
      const { flags: written, rest } = splitFlags(after);
      // Without its flags where they are wrong: a FROM that was left out would make more of what is wrong.
      const flags = faults.guard(line, () => new Flags(keyword, written)) ?? new Flags(keyword, []);
      instructions.push({ keyword, line, title: titleOf(joined), flags, rest, documents });
    }
  }
  return { escaper, instructions };
}

interface Divided {
  keyword: Keyword | MeaninglessKeyword;
  after: string;
  documents: HereDocument[];
}

function divide(joined: string, lines: PhysicalLines): Divided {
  const word = joined.split(/\s/u, 1).join('');
  const after = joined.slice(word.length);
  const keyword = word.toUpperCase();
  const documents = /^(?:RUN|COPY|ADD|ONBUILD\s+(?:RUN|COPY|ADD))\s/iu.test(joined)
    ? markersIn(after).map((marker) => lines.takeDocument(marker))
    : [];
  if (isKeyword(keyword) || isMeaningless(keyword)) return { keyword, after, documents };
  const near = nearestTo(keyword, [...Object.keys(INSTRUCTIONS), ...Object.keys(MEANINGLESS)]);
  const hints = near.length > 0 ? didYouMean(near) : ['a line that goes on in the next one ends with \\'];
  throw mistake(`there is no instruction ${shown(word)}`, ...hints);
}

function titleOf(joined: string): string {
  // Long enough to be cut: what is beyond need not be looked at.
  const title = oneLine(joined.slice(0, 10 * LONGEST_TITLE)).replaceAll(/ +/gu, ' ');
  return title.length > LONGEST_TITLE ? `${title.slice(0, LONGEST_TITLE - 1)}…` : title;
}
