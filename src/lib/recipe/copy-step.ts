import { posix } from 'node:path';
import { expandDocument } from './expand.ts';
import { mistake, shown } from './faults.ts';
import { contentOf, fileNameOf, type HereDocument, joinMarkers, markerOf } from './here-document.ts';
import type { Instruction } from './instruction.ts';
import { readOwner } from './owner.ts';
import { pathInRoot, pathWithPivot } from './paths.ts';
import type { CopyStep, InlineFile } from './recipe.ts';
import type { StageState } from './stage-state.ts';
import type { Surroundings } from './surroundings.ts';
import { parseJsonArray, splitPlain, splitQuoted } from './words.ts';

const OCTAL_MODE = /^0*[0-7]{1,4}$/u;
/** chmod(1). */
const SYMBOLIC_MODE = /^[ugoa]*(?:[-+=](?:[rwxXst]+|[ugo])?)+(?:,[ugoa]*(?:[-+=](?:[rwxXst]+|[ugo])?)+)*$/u;
const REMOTE = /^(?:[a-z][a-z0-9+.-]*:\/\/|git@[^/]+:)/iu;
const REPOSITORY = /^(?:git|ssh):|^git@|\.git(?:#|$)/iu;

/** COPY and ADD (Dockerfile reference, COPY, ADD). */
export function readCopy(instruction: Instruction, state: StageState, around: Surroundings): CopyStep {
  const { keyword, line, title, rest, flags } = instruction;
  const { sources, documents, target } = divide(instruction);
  const expand = (word: string): string => state.expand(word, around.escaper);
  const from = flags.value('from');
  const parents = flags.isOn('parents');
  const step: CopyStep = {
    kind: 'copy',
    line,
    title,
    from: from === undefined ? { kind: 'context' } : around.stages.originOf(from, around.index),
    sources: sources.map((word) => readSource(keyword, word, expand(word), parents)),
    files: documents.map((document) => inlineFile(document, state)),
    ...readTarget(target, expand(target), state.cwd),
    unpack: keyword === 'ADD' && flags.isOn('unpack', true),
    parents,
    chown: readFlag(flags.value('chown'), expand, readOwner),
    chmod: readFlag(flags.value('chmod'), expand, readMode),
    excludes: flags.values('exclude').map(expand),
  };
  if (step.sources.length + step.files.length > 1 && !step.targetIsDirectory) {
    throw mistake(`more than one source, and ${shown(target)} is no directory`, 'end the target with a /');
  }
  for (const flag of ['checksum', 'keep-git-dir']) {
    if (flags.value(flag) !== undefined) {
      throw mistake(
        `--${flag} is about what ADD fetches, and ${shown(rest)} is not fetched`,
        `leave --${flag} out`,
      );
    }
  }
  return step;
}

interface Divided {
  sources: string[];
  documents: HereDocument[];
  target: string;
}

function divide({ keyword, rest, documents }: Instruction): Divided {
  const array = parseJsonArray(rest);
  const words = array ?? joinMarkers(splitPlain(rest));
  if (array === undefined && joinMarkers(splitQuoted(rest, '\\').words).length < words.length) {
    throw mistake(
      `${shown(rest)}: quotes do not keep a path with spaces together here`,
      `write ${keyword} ["a path", "/target/"]`,
    );
  }
  const target = words.at(-1);
  const before = words.slice(0, -1);
  if (target === undefined || before.length === 0) {
    throw mistake(`${keyword} needs a source and a target`, `write ${keyword} SOURCE TARGET`);
  }
  if (array !== undefined) return { sources: before, documents: [], target };
  if (markerOf(target)) throw mistake(`${shown(target)}: a here-document is no target`);
  return { sources: before.filter((word) => markerOf(word) === undefined), documents, target };
}

function readSource(keyword: string, written: string, value: string, parents: boolean): string {
  if (value === '') throw mistake(`${shown(written)} is empty`, 'write . for all of the context');
  if (REMOTE.test(value)) {
    throw mistake(
      `${keyword} ${shown(written)}: nothing is fetched from the network for ${keyword}`,
      REPOSITORY.test(value)
        ? 'fetch it in a RUN: RUN git clone ADDRESS DIRECTORY'
        : 'fetch it in a RUN: RUN curl -fsSL -o FILE ADDRESS',
    );
  }
  return parents ? pathWithPivot(value) : pathInRoot(value);
}

function inlineFile(document: HereDocument, state: StageState): InlineFile {
  const content = contentOf(document);
  return {
    name: fileNameOf(document),
    content: document.expand ? expandDocument(content, state.variables) : content,
  };
}

function readTarget(
  written: string,
  value: string,
  cwd: string,
): Pick<CopyStep, 'target' | 'targetIsDirectory'> {
  if (value === '') throw mistake(`${shown(written)} is empty`, 'write . for the working directory');
  return { target: posix.resolve('/', cwd, value), targetIsDirectory: /(?:^|\/)\.{0,2}$/u.test(value) };
}

function readFlag(
  written: string | undefined,
  expand: (word: string) => string,
  read: (written: string, value: string) => string,
): string | null {
  return written === undefined ? null : read(written, expand(written));
}

function readMode(written: string, value: string): string {
  if (!OCTAL_MODE.test(value) && !SYMBOLIC_MODE.test(value)) {
    throw mistake(`${shown(written)} is not a mode`, 'write --chmod=755, or --chmod=u=rwX,go=rX');
  }
  return value;
}
