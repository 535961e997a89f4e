import { describe, expect, test } from 'vitest';
import { envAfter, readText, refusalOf, runOf } from './read-text.ts';

describe('ENV', () => {
  test.each([
    ['ENV A=1', { A: '1' }],
    ['ENV A=1 B=2', { A: '1', B: '2' }],
    ['ENV A="b c" D=e\\ f G=\'h i\'j', { A: 'b c', D: 'e f', G: 'h ij' }],
    ['ENV A b  c', { A: 'b  c' }],
    ['ENV A\tb=c', { A: 'b=c' }],
    ['ENV A "b" c', { A: 'b c' }],
    ['ENV A=', { A: '' }],
    ['ENV A=b=c', { A: 'b=c' }],
    ['ENV A=1\nENV A=2 B=$A', { A: '2', B: '1' }],
    ['ENV N=A\nENV $N=1', { N: 'A', A: '1' }],
    ['ENV A.b-c=1', { 'A.b-c': '1' }],
    ['ENV A="b \\\nc" \\\n# no\n  D=1', { A: 'b c', D: '1' }],
    ['ENV constructor=$toString hasOwnProperty=1', { constructor: '', hasOwnProperty: '1' }],
    ['ENV PATH=/x:$PATH', { PATH: '/x:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }],
  ])('%j sets %j', (lines, expected) => {
    expect(envAfter(lines)).toEqual(expected);
  });

  test('sets __proto__ as any other, and nothing else by it', () => {
    const env = envAfter('ENV __proto__=a\nENV B=${__proto__}');
    expect(Object.entries(env)).toEqual([
      ['__proto__', 'a'],
      ['B', 'a'],
    ]);
    expect(Object.getPrototypeOf(env)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>).B).toBeUndefined();
  });

  test.each([
    ['ENV', 'ENV sets nothing'],
    ['ENV A', "'A' has no value"],
    ['ENV A=1 B', "'B' is not NAME=VALUE"],
    ['ENV =1', 'the name of a variable is empty'],
    ['ENV "A B"=1', 'the name of a variable is empty, or holds white space'],
    ['ENV A="b', 'a double quote is missing'],
    ['ENV --x A=1', "ENV has no flag '--x'\nENV has no flags"],
  ])('%j is refused', (line, why) => {
    expect(refusalOf(`FROM x\n${line}`)).toContain(why);
  });

  test('sets no more than 1024 variables', () => {
    const lines = Array.from({ length: 1025 }, (_, index) => `A${index}=`);
    expect(Object.keys(envAfter(`ENV ${lines.slice(1).join(' ')}`))).toHaveLength(1024);
    expect(refusalOf(`FROM x\nENV ${lines.join(' ')}`)).toContain('more than 1024 variables');
  });
});

describe('ARG', () => {
  const given = { buildArgs: { A: 'given' } };

  test.each([
    ['ARG A', {}, undefined],
    ['ARG A', { A: 'given' }, given],
    ['ARG A=default', { A: 'default' }, undefined],
    ['ARG A=default', { A: 'given' }, given],
    ['ARG A=', { A: '' }, undefined],
    ['ARG A="b c" D', { A: 'b c' }, undefined],
    ['ARG B=$A\nARG A', { A: 'given', B: '' }, given],
    ['ARG A B=$A', { A: 'given', B: 'given' }, given],
    ['ARG A="${A:?it must be given}"', { A: 'given' }, given],
    ['ARG B=1\nARG B', { B: '1' }, undefined],
    ['ENV A=env\nARG A', { A: 'env' }, given],
    ['ARG A\nENV A=env', { A: 'env' }, given],
    ['ARG A\nENV A=${A:-default}', { A: 'given' }, given],
    ['ARG A\nENV A=${A:-default}', { A: 'default' }, undefined],
    ['RUN true', {}, given],
  ])('%j gives %j', (lines, expected, buildArgs) => {
    expect(envAfter(lines, buildArgs)).toEqual(expected);
  });

  test('tells its variables from those of ENV', () => {
    const run = runOf('FROM x\nARG A=1\nARG B=2\nENV B=3 C=4\nRUN env');
    expect(run).toMatchObject({ env: { A: '1', B: '3', C: '4' }, argNames: ['A'] });
  });

  test('is known from its line on', () => {
    const [first, second] = readText('FROM x\nRUN a\nARG A=1\nRUN b').stages[0]?.steps ?? [];
    expect([first, second]).toMatchObject([{ env: {} }, { env: { A: '1' } }]);
  });

  test('before the first FROM is known to FROM, and to a stage that declares it again', () => {
    const text = 'ARG A=1 B=${A}2\nARG C\nFROM x$A-$B-$C\nARG B\nARG A=here\nENV D=$A$B$C\nRUN x';
    expect(readText(text).stages).toMatchObject([
      { from: { ref: 'x1-12-' }, steps: [{ env: { A: 'here', B: '12', D: 'here12' } }] },
    ]);
    expect(readText(text, { buildArgs: { C: '3', A: '0' } }).stages).toMatchObject([
      { from: { ref: 'x0-02-3' }, steps: [{ env: { A: '0', B: '02', D: '002' } }] },
    ]);
  });

  test('of a stage is known to those that begin from it, and to no other', () => {
    const { stages } = readText(
      'FROM x AS a\nARG A=1\nENV B=2\nFROM y AS b\nRUN x\nCOPY --from=a a b\nFROM a\nRUN y\nCOPY --from=b a b',
    );
    expect(stages.map(({ steps }) => steps[0])).toMatchObject([
      undefined,
      { env: {} },
      { env: { A: '1', B: '2' } },
    ]);
  });

  test('knows the platform', () => {
    const env = envAfter('ARG TARGETOS\nARG TARGETARCH\nARG BUILDPLATFORM\nARG TARGETVARIANT');
    expect(env).toEqual({
      TARGETOS: 'linux',
      TARGETARCH: expect.stringMatching(/^(?:amd64|arm64)$/u),
      BUILDPLATFORM: `linux/${env.TARGETARCH}`,
      TARGETVARIANT: '',
    });
    expect(envAfter('ARG X=$TARGETOS')).toEqual({ X: '' });
  });

  test.each([
    ['ARG', 'ARG declares nothing'],
    ['ARG =1', "'' is not the name of an argument"],
    ['ARG A-=1 1=2', "'1' is not the name of an argument"],
    ['ARG A=${B:?why}', "'B' is not set: 'why'"],
  ])('%j is refused', (line, why) => {
    expect(refusalOf(`FROM x\n${line}`)).toContain(why);
  });
});

describe('values that are given', () => {
  const text = 'ARG A\nFROM x\nARG A VERSION\nRUN env';

  test('without an ARG have a note', () => {
    expect(readText(text, { buildArgs: { A: '1', VERSOIN: 'hidden', zz: '2' } }).notes).toEqual([
      "no ARG declares 'VERSOIN': its value is not used. Did you mean VERSION?",
      "no ARG declares 'zz': its value is not used",
    ]);
  });

  test('for the proxies need no ARG, and are no part of a step', () => {
    const recipe = readText(text, {
      buildArgs: { https_proxy: 'http://a', NO_PROXY: 'b', no_proxy: 'c', TARGETARCH: 'd' },
    });
    expect(recipe).toMatchObject({
      notes: [],
      proxies: { https_proxy: 'http://a', HTTPS_PROXY: 'http://a', NO_PROXY: 'b', no_proxy: 'c' },
      stages: [{ steps: [{ env: {} }] }],
    });
  });

  test.each([
    'COPY --chmod=$A a b',
    'COPY --chown=$A a b',
    'USER $A',
    'FROM $A',
    'ENV "$A"=1',
    'ENV B=${B:?$A}',
    'ADD $A /x',
    'COPY a b $A',
    'RUN --mount=type=cache,target=/a,mode=$A x',
    'RUN --mount=type=tmpfs,target=/a,size=$A x',
    'ENV B=${A#\\x$A}',
  ])('are not repeated where %s is refused', (line) => {
    const refusal = refusalOf(`ARG A\nFROM x\nARG A\n${line}`, { buildArgs: { A: 'https://hunter2 \n' } });
    expect(refusal).toMatch(/Containerfile:4: /u);
    expect(refusal).not.toContain('hunter2');
  });
});
