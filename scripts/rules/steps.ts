import type { Rule } from './table.ts';

const CACHE = 'src/lib/image/step-cache.ts';
const PRUNING = 'src/lib/image/step-pruning.ts';
const STORE = 'src/lib/store/cached-steps.ts';

/** Of the steps of builds that are kept. */
export const STEP_RULES: readonly Rule[] = [
  {
    rule: 'what a dead run was about to keep is removed',
    file: STORE,
    from: "where('state', '!=', 'kept')",
    to: "where('state', '=', 'nothing' as 'kept')",
    tests: ['test/lib/image/step-cache.test.ts'],
  },
  {
    rule: 'what a live run is about to keep is left alone',
    file: STORE,
    from: 'row.run_id !== runId && !isRunAlive(liveDir, row.run_id)',
    to: 'row.run_id !== runId',
    tests: ['test/lib/image/step-cache.test.ts'],
  },
  {
    rule: 'a kept step is on the disk before it counts',
    file: CACHE,
    from: '    await syncTree(directory, signal);\n',
    to: '',
    tests: ['test/lib/image/step-cache.test.ts'],
  },
  {
    rule: 'the cache never takes more than its limit',
    file: CACHE,
    from: 'if (leftBytes > limitBytes) return null;',
    to: 'if (leftBytes > Number.MAX_VALUE) return null;',
    tests: ['test/lib/image/step-cache.test.ts'],
  },
  {
    rule: 'what a live run stands on is not removed',
    file: PRUNING,
    from: '!spared.has(id) && ',
    to: '(spared.has(id) || true) && ',
    tests: ['test/lib/image/step-cache.test.ts', 'test/lib/image/step-pruning.test.ts'],
  },
  {
    rule: 'a step goes after those that were made from it',
    file: PRUNING,
    from: ' && !parents.has(id)',
    to: ' && (parents.has(id) || true)',
    tests: ['test/lib/image/step-pruning.test.ts'],
  },
  {
    rule: 'a kept step that was written to is not used',
    file: 'src/lib/image/kept-steps.ts',
    from: 'return stampOf(step, row.kind) === row.stamp ? step : null;',
    to: 'return step;',
    tests: ['test/lib/image/step-cache.test.ts'],
  },
];
