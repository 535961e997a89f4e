import { print, tell } from '../output.ts';
import type { RunningMachine } from './qemu.ts';

/** Ctrl-A, then x ends the machine; Ctrl-A twice types one: as QEMU's own console takes them (qemu(1), -nographic). */
const ESCAPE = 0x01;
const END = 'x'.charCodeAt(0);

export interface ConsoleOptions {
  /** Where standard output is for a document, the console is told beside it. */
  isBeside: boolean;
}

/** What connects our standard input with a console, and how it is let go of. */
export interface AttachedConsole {
  detach(): void;
}

/** Where what comes over a serial console is shown. */
export function showConsole({ isBeside }: ConsoleOptions): (bytes: Buffer) => void {
  return isBeside ? tell : print;
}

/** Types what comes by standard input on a serial console, each key at once where it is a terminal's. */
export function attachConsole(machine: RunningMachine): AttachedConsole {
  const { stdin } = process;
  const isTerminal = stdin.isTTY === true;
  const typed = isTerminal ? escaped(machine) : (bytes: Buffer) => machine.type(bytes);
  if (isTerminal) stdin.setRawMode(true);
  stdin.on('data', typed);
  // A terminal that is gone, or a file that is at its end, types nothing any more.
  stdin.on('error', () => {});
  return {
    detach() {
      stdin.off('data', typed);
      if (isTerminal) stdin.setRawMode(false);
      stdin.pause();
      stdin.unref?.();
    },
  };
}

function escaped(machine: RunningMachine): (bytes: Buffer) => void {
  let isEscaped = false;
  return (bytes) => {
    const passed: number[] = [];
    for (const byte of bytes) {
      if (!isEscaped && byte === ESCAPE) isEscaped = true;
      else if (isEscaped && byte === END) return machine.cutPower();
      else {
        isEscaped = false;
        passed.push(byte);
      }
    }
    if (passed.length > 0) machine.type(Buffer.from(passed));
  };
}
