import type { Rule } from './table.ts';

const REMEMBERED = 'src/lib/context/remembered.ts';

/** Those of build contexts. */
export const CONTEXT_RULES: readonly Rule[] = [
  {
    rule: 'a file that had just changed when it was read is read again',
    file: REMEMBERED,
    from: 'if (changed + FRESH_NS > ',
    to: 'if (changed > ',
    tests: ['test/lib/context/remembered.test.ts'],
  },
  {
    rule: 'a file whose ctime changed is read again',
    file: REMEMBERED,
    from: 'if (known?.stamp !== stamp) return null;',
    to: "if (known?.stamp.replace(/:\\d+$/u, '') !== stamp.replace(/:\\d+$/u, '')) return null;",
    tests: ['test/lib/context/remembered.test.ts'],
  },
  {
    rule: 'a file that changes between being found and being read fails the build',
    file: 'src/lib/context/digest.ts',
    from: 'identityOf(stats) === identity,',
    to: "identity !== '' && stats.isFile(),",
    tests: ['test/lib/context/digest.test.ts'],
  },
  {
    rule: 'a cache that another user owns is not believed',
    file: 'src/lib/store/digest-cache.ts',
    from: 'if (!isFileOurs || statSync(dirname(this.#path)).uid !== user) throw',
    to: 'if (!isFileOurs && file?.isFile() !== true) throw',
    tests: ['test/lib/context/remembered.test.ts'],
  },
  {
    rule: 'links are followed inside the context alone',
    file: 'src/lib/context/place.ts',
    from: "if (target.startsWith('/')) parts.length = 0;",
    to: "if (target.startsWith('/etc')) parts.unshift('..', '..', '..', '..', '..', '..', '..');",
    tests: ['test/lib/context/source.test.ts'],
  },
];
