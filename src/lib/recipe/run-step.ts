import { nearestTo } from '../nearest.ts';
import { didYouMean, mistake, shown } from './faults.ts';
import { contentOf, fileNameOf, markerOf } from './here-document.ts';
import type { Instruction } from './instruction.ts';
import type { RunStep } from './recipe.ts';
import { readMount } from './run-mount.ts';
import type { StageState } from './stage-state.ts';
import type { Surroundings } from './surroundings.ts';
import { parseJsonArray } from './words.ts';

/** Where BuildKit shows a script that a here-document holds; `$0` tells it. */
const SCRIPTS = '/dev/pipes';
const NETWORKS = ['default', 'none', 'host'] as const;
/** Longest string that a program can be given, in bytes (execve(2), MAX_ARG_STRLEN). */
const LONGEST_ARGUMENT = 131_071;

/** RUN (Dockerfile reference, RUN). Variables are the shell's to replace: nothing is, here. */
export function readRun(instruction: Instruction, state: StageState, around: Surroundings): RunStep {
  const { line, title, flags } = instruction;
  const security = flags.value('security');
  if (security !== undefined && security !== 'sandbox') {
    throw mistake(
      `--security=${shown(security)} would let a command out of its sandbox`,
      'leave --security out',
    );
  }
  const { argv, script } = commandOf(instruction, state);
  for (const argument of argv) {
    if (Buffer.byteLength(argument) > LONGEST_ARGUMENT) {
      throw mistake(
        'the command is too long for the system',
        'let a here-document hold it that begins with #!/bin/sh',
      );
    }
  }
  return {
    kind: 'run',
    line,
    title,
    argv,
    script,
    ...state.variables.snapshot(),
    cwd: state.cwd,
    user: state.user,
    network: networkOf(flags.value('network')),
    mounts: flags.values('mount').map((text) => readMount(text, state, around)),
  };
}

function commandOf({ rest, documents }: Instruction, state: StageState): Pick<RunStep, 'argv' | 'script'> {
  const array = parseJsonArray(rest);
  if (rest === '' || array?.length === 0) throw mistake('RUN names no command', 'write RUN COMMAND');
  if (array !== undefined) return { argv: array, script: null };
  const [document] = documents;
  if (document === undefined || markerOf(rest) === undefined) {
    // The shell is the one to make sense of it: it gets the documents as they stand in the file.
    const whole = [rest, ...documents.map(({ raw, name }) => raw + name)].join('\n');
    return { argv: [...state.shell, whole], script: null };
  }
  const content = contentOf(document);
  if (!content.startsWith('#!')) return { argv: [...state.shell, content], script: null };
  const path = `${SCRIPTS}/${fileNameOf(document)}`;
  return { argv: [path], script: { path, content } };
}

function networkOf(written = 'default'): RunStep['network'] {
  const network = NETWORKS.find((name) => name === written);
  if (network) return network;
  throw mistake(
    `there is no network ${shown(written)}`,
    ...didYouMean(nearestTo(written, NETWORKS)),
    `networks are ${NETWORKS.join(', ')}`,
  );
}
