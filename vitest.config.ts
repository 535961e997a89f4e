import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

const SERIAL = 'test/**/*.serial.test.ts';
/** Tests that choose themselves what they run. */
const OF_ONE_FORM = ['test/e2e/package.test.ts', 'test/e2e/executable.test.ts', 'test/e2e/modules.test.ts'];
/** vitest would leave a processor free; most tests wait for a disk or for each other's programs. */
const WORKERS = Math.max(2, availableParallelism());

/** What an end-to-end test runs: `bin/run.js`, or the single executable. */
type Form = 'script' | 'executable';

function project(
  name: string,
  include: string[],
  { form = 'script', exclude = [SERIAL] }: { form?: Form; exclude?: string[] } = {},
): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include,
      exclude,
      provide: { form },
      pool: 'forks',
      maxWorkers: name === 'serial' ? 1 : WORKERS,
      // The serial ones when all others are done.
      sequence: { groupOrder: name === 'serial' ? 1 : 0 },
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
        exclude: [SERIAL, ...OF_ONE_FORM],
      }),
      // Whatever needs the machine for itself: it measures time, or counts what the whole machine has mounted.
      project('serial', [SERIAL], { exclude: [] }),
      project('torture', ['test/torture/**/*.test.ts']),
    ],
  },
});
