import type { Reporter, TestCase, TestModule, TestRunEndReason, TestSuite } from 'vitest/node';

interface Counts {
  passed: number;
  failed: number;
  skipped: TestCase[];
}

/** What ran, from the runner's own results. Whatever did not end well without being a test counts as one failure. */
function count(modules: readonly TestModule[], unhandledErrors: number, reason: TestRunEndReason): Counts {
  const counts: Counts = { passed: 0, failed: unhandledErrors, skipped: [] };
  for (const module of modules) {
    let failed = 0;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') counts.passed += 1;
      else if (state === 'skipped') counts.skipped.push(test);
      else failed += 1;
    }
    // A hook that throws fails its suite, and the tests in it are skipped.
    for (const suite of [module, ...module.children.allSuites()] as (TestModule | TestSuite)[]) {
      if (suite.errors().length > 0) failed += 1;
    }
    if (failed === 0 && module.state() !== 'passed' && module.state() !== 'skipped') failed = 1;
    counts.failed += failed;
  }
  if (counts.failed === 0 && reason !== 'passed') counts.failed = 1;
  return counts;
}

/** Ends the run with the line `N passed, N failed, N skipped`; a run without tests fails, in CI one with skips too. */
export default class CountReporter implements Reporter {
  onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly unknown[],
    reason: TestRunEndReason,
  ): void {
    const { passed, failed, skipped } = count(modules, unhandledErrors.length, reason);
    const skipsFail = Boolean(process.env.CI) && skipped.length > 0;
    for (const test of skipped) {
      const result = test.result();
      const why = result.state === 'skipped' ? result.note : undefined;
      // Those that a file or name pattern left out say nothing.
      if (why === undefined && !skipsFail) continue;
      const what = `${test.module.relativeModuleId} > ${test.fullName}`;
      process.stdout.write(`skipped: ${what}: ${why ?? 'no reason given'}\n`);
    }
    if (skipsFail) process.stdout.write('a skipped test fails the run in CI\n');
    process.stdout.write(`${passed} passed, ${failed} failed, ${skipped.length} skipped\n`);
    if (failed > 0 || passed === 0 || skipsFail) process.exitCode = 1;
  }
}
