import { describe, expect } from 'vitest';
import { listOf, namesOf } from '../../../src/lib/image/list.ts';
import { insertImage } from '../../../src/lib/store/images.ts';
import type { ImageRow } from '../../../src/lib/store/schema.ts';
import { imageRow } from '../plans.ts';
import { test as base } from '../state.ts';

const IMAGES: Partial<ImageRow>[] = [
  { name: 'b', kernel_version: '6.10', docker: 1, created_at: '2021', rootfs_path: import.meta.filename },
  { name: 'a', kernel_version: '6.1', base_image_name: 'b', created_at: '2022', packages_preset: 'debian' },
  { name: 'c', managed: 1, artifact_dir: '/nowhere', created_at: '2020' },
];

interface List {
  /** The names that `image list` would print, one after the other. */
  names(options: { filters?: string[]; sort?: string }): string;
}

const test = base.extend<{ list: List }>({
  list: async ({ state }, use) => {
    const { store, layout } = await state.open();
    store.write(() => {
      for (const image of IMAGES) insertImage(store, imageRow(image));
    });
    state.sql(
      "INSERT INTO vms (id, name, image_id, created_at) SELECT 'v', 'web', id, '2026' FROM images WHERE name = 'c'",
    );
    await use({
      names({ filters = [], sort = 'name' }) {
        return listOf({ store, layout }, { filters, sort })
          .map(({ name }) => name)
          .join(' ');
      },
    });
  },
});

describe('listOf', () => {
  test.for([
    ['name', 'a b c'],
    ['-name', 'c b a'],
    ['created', 'c b a'],
    ['-created', 'a b c'],
    ['kernel', 'a b c'],
    ['size', 'b a c'],
    ['virtual', 'b a c'],
  ] as const)('sorted by %s is %s', ([sort, names], { list }) => {
    expect(list.names({ sort })).toBe(names);
  });

  test.for([
    [['name=a'], 'a'],
    [['name=[abc]'], ''],
    [['name=*'], 'a b c'],
    [['managed=true'], 'c'],
    [['managed=no'], 'a b'],
    [['docker=yes'], 'b'],
    [['docker=false', 'kernel=6.*'], 'a'],
    [['kernel=6.1'], 'a'],
    [['kernel=6.1*'], 'a b'],
    [['kernel='], 'c'],
    [['packages=debian'], 'a'],
    [['base=b'], 'a'],
    [['in_use=true'], 'c'],
    [['id=*'], 'a b c'],
  ] as [string[], string][])('filtered by %j is %j', ([filters, names], { list }) => {
    expect(list.names({ filters })).toBe(names);
  });

  test.for([
    [{ filters: ['managed'] }, "'managed' is not a filter", 'write --filter managed=VALUE'],
    [
      { filters: ['managed=perhaps'] },
      "managed is true or false, not 'perhaps'",
      'write --filter managed=true',
    ],
    [{ filters: ['kernal=6'] }, "'kernal=6' is not a filter", 'did you mean kernel?'],
    [{ filters: ['=x'] }, "'=x' is not a filter", /^known: name, /u],
    [{ filters: ['constructor=x'] }, "'constructor=x' is not a filter", /^known: name, /u],
    [{ sort: 'nmae' }, "'nmae' is not a sort key", 'did you mean name?'],
    [{ sort: '' }, "'' is not a sort key", /^known: name, /u],
    [{ sort: 'toString' }, "'toString' is not a sort key", /^known: name, /u],
  ] as [object, string, string | RegExp][])('refuses %j', ([options, message, hint], { list }) => {
    expect(() => list.names(options)).toThrow(
      expect.objectContaining({
        code: 'usage',
        message,
        hints: expect.arrayContaining([expect.stringMatching(hint)]),
      }),
    );
  });

  test.for(['x'.repeat(300), 'a\0b', '/dev/null/below', '/proc/self/fdinfo/4294967295', ''])(
    'is not broken by the path %j',
    (path, { list, state }) => {
      state.sql("UPDATE images SET work_seed_path = ?, rootfs_path = ? WHERE name = 'a'", path, `/${path}`);
      expect(list.names({ sort: 'size' })).toBe('b a c');
    },
  );

  test('is empty where nothing was ever registered', ({ state }) => {
    expect(listOf({ store: null, layout: state.layout }, { filters: [], sort: 'name' })).toEqual([]);
    expect(namesOf(null)).toEqual([]);
  });
});
