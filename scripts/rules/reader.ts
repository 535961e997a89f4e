import type { Rule } from './table.ts';

/** Those of reading images without mounting them. */
export const READER_RULES: readonly Rule[] = [
  {
    rule: 'a directory in two places ends a walk',
    file: 'src/lib/ext4/walk.ts',
    from: 'if (entered.has(inode.number)) throw',
    to: 'if (entered.has(0)) throw',
    tests: ['test/lib/ext4/damage.test.ts'],
  },
  {
    rule: 'a name in an image is no path',
    file: 'src/lib/ext4/directory.ts',
    from: ' || name.includes(SLASH)',
    to: ' || name.includes(SLASH, name.length)',
    tests: ['test/lib/ext4/damage.test.ts'],
  },
  {
    rule: 'a link of an image leads to nothing outside of it',
    file: 'src/lib/ext4/lookup.ts',
    from: "if (target.startsWith('/')) trail.splice(1);",
    to: "if (target.startsWith('/')) return null;",
    tests: ['test/lib/ext4/lookup.test.ts'],
  },
  {
    rule: 'an image whose journal holds writes is not read',
    file: 'src/lib/ext4/volume.ts',
    from: 'if (volume.geometry.needsRecovery) {',
    to: 'if (volume.geometry.blockCount === 0) {',
    tests: ['test/lib/ext4/lookup.test.ts'],
  },
  {
    rule: 'files of one size are compared by their content',
    file: 'src/lib/image/tree-changes.ts',
    from: 'same = await this.#readBoth(a, b);',
    to: 'same = a.size === b.size || (await this.#readBoth(a, b));',
    tests: ['test/lib/image/tree-changes.test.ts'],
  },
  {
    rule: 'what a build made counts as of one time',
    file: 'src/lib/image/tree-digest.ts',
    from: 'Math.min(Math.floor(inode.modified / 1000), newest)',
    to: 'Math.floor(inode.modified / 1000)',
    tests: ['test/lib/image/tree-digest.test.ts'],
  },
];
