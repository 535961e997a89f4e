/** What a step has to do with apt. */
export interface AptUse {
  /** `installs`: it is apt's commands that we give. `runs`: a command of the user's. */
  by: 'installs' | 'runs' | 'nobody';
  /** Whether a command of the user's asks for packages, as far as one can see. */
  asks: boolean;
  /** Whether it leaves lists for the commands after it. */
  leavesLists: boolean;
  /** Where in the guest it has mounts of its own. */
  mounts: readonly string[];
}

const APT = /\b(?:apt|apt-get|aptitude)\b/u;
const REMOVED_LISTS = /\/var\/lib\/apt\b/u;

/** @param instruction what a command of the user's says */
export function aptUse(
  by: AptUse['by'],
  instruction: unknown = null,
  mounts: readonly string[] = [],
): AptUse {
  const text = JSON.stringify(instruction);
  const asks = by === 'runs' && APT.test(text);
  return { by, asks, leavesLists: asks && !REMOVED_LISTS.test(text), mounts };
}
