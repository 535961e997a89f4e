import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

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
  groupOrder: number,
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
      sequence: { groupOrder },
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
    projects: [
      project('house', ['test/house/**/*.test.ts'], 1),
      project('lib', ['test/lib/**/*.test.ts', 'test/support/**/*.test.ts'], 2),
      project('e2e', ['test/e2e/**/*.test.ts'], 3),
      project('executable', ['test/e2e/**/*.test.ts'], 4, {
        form: 'executable',
        exclude: [SERIAL, ...OF_ONE_FORM],
      }),
      // Whatever needs the machine for itself: it measures time, or counts what the whole machine has mounted.
      project('serial', [SERIAL], 5, { exclude: [] }),
      project('torture', ['test/torture/**/*.test.ts'], 6),
    ],
  },
});
