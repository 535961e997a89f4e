/** A part of the torture that is run, and recorded, by itself. */
export interface Part {
  /** Tells it from all others. */
  name: string;
  /** What vitest is told to run. */
  args: readonly string[];
  /** Which share of a test's trials, as `BANGER_TORTURE_SHARE` gives it; all of them where it is absent. */
  share?: `${number}/${number}`;
}

/** Tests of these files are over in minutes, all together. */
const FILES = [
  'crowd',
  'handover',
  'failed-commit',
  'stopped',
  'hostile-files',
  'hostile-filesystem',
  'hostile-home',
  'hostile-registry',
  'power-cut',
  'full-disk',
];

/** Of whom and of what every call is struck at, and in how many shares: each is a matter of ten minutes or so. */
const EVERY_CALL: readonly [account: string, command: string, kills: number, fails: number][] = [
  ['root', 'register', 1, 1],
  ['root', 'rename', 1, 1],
  ['root', 'delete', 1, 1],
  ['root', 'promote', 2, 4],
  ['root', 'build', 4, 10],
  ['ordinary user', 'build', 2, 4],
];

export const PARTS: readonly Part[] = [
  ...FILES.map((file) => ({ name: file, args: [`test/torture/${file}.test.ts`] })),
  ...EVERY_CALL.flatMap(([account, command, kills, fails]) => [
    ...sharesOf('kill', account, command, kills),
    ...sharesOf('fail', account, command, fails),
  ]),
];

function sharesOf(what: 'kill' | 'fail', account: string, command: string, shares: number): Part[] {
  return Array.from({ length: shares }, (_, index) => ({
    name: `${what}-at-every-call of ${command} as ${account}, ${index + 1} of ${shares}`,
    args: [`test/torture/${what}-at-every-call.test.ts`, '-t', `as ${account}, a ${command} `],
    share: `${index + 1}/${shares}`,
  }));
}
