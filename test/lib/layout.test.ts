import { expect, test } from 'vitest';
import { isId, newId, shortId } from '../../src/lib/id.ts';
import { asidePath, layoutOf } from '../../src/lib/layout.ts';

test('everything is below the state directory', () => {
  const { stateDir, ...places } = layoutOf('/var/lib/banger');
  expect(stateDir).toBe('/var/lib/banger');
  for (const place of Object.values(places))
    expect(place).toMatch(/^\/var\/lib\/banger\/(?:images\/)?[a-z.+-]+$/u);
});

test('what waits to be removed lies beside where it was, and no two in one place', () => {
  const [one, two] = [newId(), newId()].map((id) => asidePath('/state/images/a', id));
  expect(one).toMatch(/^\/state\/images\/a\.removing-[0-9a-f]{32}$/u);
  expect(one).not.toBe(two);
});

test('an id is 32 hex digits, and told apart by its first twelve', () => {
  const id = newId();
  expect(isId(id)).toBe(true);
  expect(id.startsWith(shortId(id))).toBe(true);
  expect(shortId(id)).toHaveLength(12);
  for (const text of ['', id.slice(1), `${id}0`, id.toUpperCase().replace(/\d/gu, 'A'), `${id}\n`]) {
    expect(isId(text)).toBe(false);
  }
});
