import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RedactedOutput, Redaction } from '../../../src/lib/image/redaction.ts';
import { readSecrets } from '../../../src/lib/image/secrets.ts';
import { LINE_LIMIT } from '../../../src/lib/system/process.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'banger-secrets-'));
  writeFileSync(join(directory, 'file'), 'of the file\n');
  writeFileSync(join(directory, 'large'), Buffer.alloc(500 * 1024 + 1));
  writeFileSync(join(directory, 'largest'), Buffer.alloc(500 * 1024));
});
afterAll(() => rmSync(directory, { recursive: true }));

const env = { TOKEN: 'hunter22', both: 'of the variable' };
const at = (name: string): string => join(directory, name);

describe('a secret', () => {
  test.each([
    [() => `id=a,src=${at('file')}`, 'a', 'of the file\n'],
    [() => `id=a,source=${at('file')},type=file`, 'a', 'of the file\n'],
    [() => 'id=a,env=TOKEN', 'a', 'hunter22'],
    [() => 'type=env,id=a,src=TOKEN', 'a', 'hunter22'],
    [() => 'id=TOKEN', 'TOKEN', 'hunter22'],
    [() => 'id=TOKEN,type=env', 'TOKEN', 'hunter22'],
    [() => `"id=${at('file')}"`, '', 'of the file\n'],
  ])('is read from %s', (word, id, value) => {
    expect(
      readSecrets([word()], env)
        .find(id || at('file'))
        ?.toString(),
    ).toBe(value);
  });

  test('may have 500 KiB, and is not there when it was not given', () => {
    expect(readSecrets([`id=a,src=${at('largest')}`], env).find('a')).toHaveLength(500 * 1024);
    expect(readSecrets([], env).find('a')).toBeNull();
  });

  test.each([
    ['', /none of id, src, env and type/u],
    ['hunter22', /none of id, src, env and type/u],
    ['id=', /id has no value/u],
    ['id', /id has no value/u],
    ['src=hunter22', /no id/u],
    ['id=a,id=hunter22', /id is there twice/u],
    ['id=a,src=hunter22,env=B', /both src and env/u],
    ['id=a,type=hunter22', /type is neither/u],
    ['id=a,type=file,env=hunter22', /a variable is no file/u],
    ['id=a,"hunter22', /double quote/u],
  ])('%j is refused without repeating it', (word, message) => {
    expect(() => readSecrets([word], env)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringMatching(message) }),
    );
    expect(() => readSecrets([word], env)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter22') }),
    );
  });

  test('that cannot be read is refused with all others', () => {
    const words = [
      'id=a,env=UNSET',
      `id=b,src=${at('none')}`,
      `id=c,src=${at('large')}`,
      `id=d,src=${directory}`,
    ];
    expect(() => readSecrets(words, env)).toThrow(
      expect.objectContaining({
        code: 'preflight_failed',
        message: expect.stringMatching(
          /'a': the variable UNSET is not set.*'b': .* does not exist.*'c' is larger than 500 KiB.*'d': .* a directory/su,
        ),
      }),
    );
    expect(() => readSecrets(['id=a,env=TOKEN', 'id=a,env=both'], env)).toThrow("'a' is given twice");
  });
});

describe('redaction', () => {
  const shown = (secret: string, ...lines: string[]): string[] => {
    const told: string[] = [];
    const output = new RedactedOutput(new Redaction([Buffer.from(secret)]), (line) => told.push(line));
    for (const line of lines) output.take(line, 'stdout');
    output.end();
    return told;
  };
  const SECRET = 'first line of it\nshort\nthe last line\n';

  test.each([
    ['tok\n', 'a tok, tik', 'a ***, tik'],
    [SECRET, '> first line of it <', '> *** <'],
    [SECRET, 'short', 'short'],
    [SECRET, Buffer.from(SECRET).toString('base64'), '***=='],
    [SECRET, Buffer.from(SECRET.trim()).toString('base64'), '***'],
    ['hunter22', 'hun\u001b[31mter22', '***'],
    ['', 'nothing is secret', 'nothing is secret'],
    ['a.*c', 'abc a.*c', 'abc ***'],
  ])('of %j makes %j %j', (secret, line, expected) => {
    expect(shown(secret, line)).toEqual([expected]);
  });

  test('finds what base64 has broken into rows', () => {
    const long = 'x'.repeat(50) + 'y'.repeat(50);
    const rows =
      Buffer.from(long)
        .toString('base64')
        .match(/.{1,76}/gu) ?? [];
    expect(shown(long, ...rows)).toEqual(['***', '***==']);
  });

  test('takes the longer of two that begin alike', () => {
    expect(
      new Redaction([Buffer.from('token'), Buffer.from('token-longer')]).apply('token-longer token'),
    ).toBe('*** ***');
  });

  test('finds what lies in two pieces of a line', () => {
    const before = 'b'.repeat(LINE_LIMIT - 4);
    expect(shown('hunter22', `${before}hunt`, 'er22 end').join('')).toBe(`${before}*** end`);
    expect(shown('hunter22', `${before}hunt`).join('')).toBe(`${before}hunt`);
  });
});
