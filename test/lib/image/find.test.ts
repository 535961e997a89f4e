import { describe, expect } from 'vitest';
import type { BangerError } from '../../../src/lib/errors.ts';
import { findImage } from '../../../src/lib/image/find.ts';
import { insertImage } from '../../../src/lib/store/images.ts';
import { imageRow } from '../plans.ts';
import { test as base } from '../state.ts';

const IMAGES = {
  alpha: `abcd0000${'0'.repeat(24)}`,
  beta: `abcd1111${'1'.repeat(24)}`,
  // A name that is the beginning of another image's id.
  abcd1: `ffff2222${'2'.repeat(24)}`,
};

interface Finder {
  /** The name of what is found. */
  find(ref: string): string;
  miss(ref: string): BangerError;
}

const test = base.extend<{ finder: Finder }>({
  finder: async ({ state }, use) => {
    const { store } = await state.open();
    store.write(() => {
      for (const [name, id] of Object.entries(IMAGES)) insertImage(store, imageRow({ name, id }));
    });
    const find = (ref: string): string => findImage(store, ref).name;
    await use({
      find,
      miss(ref) {
        try {
          throw new Error(`${ref} was found: ${find(ref)}`);
        } catch (error) {
          return error as BangerError;
        }
      },
    });
  },
});

describe('findImage', () => {
  test.for([
    [IMAGES.alpha, 'alpha'],
    ['alpha', 'alpha'],
    ['abcd0', 'alpha'],
    ['abcd1', 'abcd1'],
    ['abcd11', 'beta'],
    ['ffff', 'abcd1'],
    [IMAGES.beta.slice(0, 31), 'beta'],
  ] as const)('finds %s: %s', ([ref, name], { finder }) => {
    expect(finder.find(ref)).toBe(name);
  });

  test('names the candidates of an ambiguous beginning', ({ finder }) => {
    expect(finder.miss('abcd')).toMatchObject({
      code: 'usage',
      message: 'abcd is the beginning of 2 image ids',
      hints: ['abcd00000000  alpha', 'abcd11111111  beta'],
      details: { candidates: [{ name: 'alpha' }, { name: 'beta' }] },
    });
  });

  test.for([
    '',
    'abc',
    'ABCD0',
    'abcd%',
    'abcd_',
    'abce',
    `${IMAGES.alpha}0`,
    '../alpha',
    'alpha ',
    "alpha'",
  ])('does not find %j', (ref, { finder }) => {
    expect(finder.miss(ref)).toMatchObject({ code: 'not_found', exitCode: 3 });
  });

  test('suggests the nearest names', ({ finder }) => {
    expect(finder.miss('alhpa')).toMatchObject({
      message: "no image 'alhpa'",
      hints: ['did you mean alpha?', 'banger image list'],
      details: { nearest: ['alpha'] },
    });
    expect(finder.miss('something else')).toMatchObject({ hints: ['banger image list'] });
  });

  test('says a reference of unknown origin on one line, and not at any length', ({ finder }) => {
    expect(finder.miss(`\u001b[2J\n${'x'.repeat(1000)}`).message).toMatch(/^no image ' ?x{70,80}'$/u);
  });

  test('finds nothing where nothing was ever registered', () => {
    expect(() => findImage(null, 'alpha')).toThrow("no image 'alpha'");
  });
});
