import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that take longest, by far; a short one at the end keeps nobody waiting. */
const LONG = [
  'house/',
  'e2e/bootstrap.',
  'torture/kill-at-every-call.',
  'e2e/package.',
  'torture/fail-at-every-call.',
  'e2e/full-disk.',
  'e2e/build',
  'e2e/check.',
  'torture/',
];

function rank({ moduleId }: TestSpecification): number {
  const found = LONG.findIndex((part) => moduleId.includes(`/test/${part}`));
  return found === -1 ? LONG.length : found;
}

/** Linters first, then the longest, so that the processors come to an end together; a machine of CI remembers no times. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}
