import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

/** Tests that choose themselves what they run. */
const OF_ONE_FORM = [
  'test/e2e/boot.test.ts',
  'test/e2e/gate.test.ts',
  'test/e2e/verify-boot.test.ts',
  'test/e2e/vm-run-debian.test.ts',
  'test/e2e/package.test.ts',
  'test/e2e/executable.test.ts',
  'test/e2e/modules.test.ts',
];
/** vitest would leave a processor free; most tests wait for a disk or for each other's programs. */
const WORKERS = Math.max(2, availableParallelism());

/** What an end-to-end test runs: `bin/run.js`, or the single executable. */
type Form = 'script' | 'executable';

function project(
  name: string,
  include: string[],
  { form = 'script', exclude = [] }: { form?: Form; exclude?: string[] } = {},
): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include,
      exclude,
      provide: { form },
      pool: 'forks',
      maxWorkers: WORKERS,
      // A torture test tries hundreds of things in a row; alone, for hours.
      testTimeout:
        name === 'torture' ? (process.env.BANGER_TORTURE === 'whole' ? 12 * 3_600_000 : 300_000) : 60_000,
      hookTimeout: 120_000,
    },
  };
}

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/count-reporter.ts'],
    teardownTimeout: 30_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      project('house', ['test/house/**/*.test.ts']),
      project('lib', ['test/lib/**/*.test.ts', 'test/support/**/*.test.ts']),
      project('e2e', ['test/e2e/**/*.test.ts']),
      project('executable', ['test/e2e/**/*.test.ts'], {
        form: 'executable',
        exclude: OF_ONE_FORM,
      }),
      project('torture', ['test/torture/**/*.test.ts']),
    ],
  },
});
