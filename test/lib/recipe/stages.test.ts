import { describe, expect, test } from 'vitest';
import { readText, refusalOf } from './read-text.ts';

const indices = (text: string, target?: string) =>
  readText(text, { target }).stages.map(({ index }) => index);

describe('FROM', () => {
  test.each([
    ['FROM x', { kind: 'image', ref: 'x' }, null],
    ['FROM x AS b', { kind: 'image', ref: 'x' }, 'b'],
    ['FROM x as B.1_c-d', { kind: 'image', ref: 'x' }, 'b.1_c-d'],
    ['FROM scratch', { kind: 'scratch' }, null],
    ['FROM Scratch', { kind: 'image', ref: 'Scratch' }, null],
    ['FROM debian AS debian', { kind: 'image', ref: 'debian' }, 'debian'],
    [
      'FROM 0123456789abcdef0123456789abcdef',
      { kind: 'image', ref: '0123456789abcdef0123456789abcdef' },
      null,
    ],
    ['FROM 0', { kind: 'image', ref: '0' }, null],
    [
      'FROM registry.example:5000/a/b:c@sha256:d',
      { kind: 'image', ref: 'registry.example:5000/a/b:c@sha256:d' },
      null,
    ],
    ['FROM first', { kind: 'stage', index: 0 }, null],
    ['FROM First AS again', { kind: 'stage', index: 0 }, 'again'],
    ['FROM "x"', { kind: 'image', ref: 'x' }, null],
  ])('%s is understood', (line, from, name) => {
    expect(readText(`FROM z AS first\n${line}`).stages.at(-1)).toMatchObject({
      from,
      name,
      line: 2,
      title: line,
    });
  });

  test.each([
    ['FROM', 'FROM names no image'],
    ['FROM x b', "FROM 'x b' is neither an image nor an image AS a name"],
    ['FROM x AS', "FROM 'x AS' is neither"],
    ['FROM x AS b c', 'is neither'],
    ['FROM x AS 1b', "'1b' is not the name of a stage"],
    ['FROM x AS b/c', "'b/c' is not the name of a stage"],
    ['FROM x AS scratch', "a stage cannot be named 'scratch'"],
    ['FROM $A', "'$A' is empty"],
    ['FROM ${A:?say}', "'A' is not set: 'say'"],
    ['FROM "x', 'a double quote is missing'],
    ['FROM Later\nFROM x AS later', "stage 'Later' begins in line 2"],
    ['FROM later\nFROM x AS later', "stage 'later' begins in line 2"],
    ['FROM --plat=x y', "FROM has no flag '--plat'"],
  ])('%j is refused', (text, why) => {
    expect(refusalOf(text)).toContain(why);
  });

  test('that is missing is told', () => {
    for (const text of ['', '\n# nothing\n', 'ARG A', 'RUN a\nRUN b'])
      expect(refusalOf(text)).toContain('Containerfile: there is no FROM');
    expect(refusalOf('RUN a\nRUN b\nFROM x')).toMatch(/^Containerfile:1: RUN stands before the first FROM/u);
  });

  test('passes on what the stage below has set', () => {
    const text = `FROM x AS a
ENV A=1
LABEL l=1 m=1
USER u
WORKDIR /w
SHELL ["/bin/bash", "-c"]
FROM a
LABEL m=2
RUN x
FROM a AS b
RUN y
FROM y
COPY --from=b /a /b
RUN z`;
    expect(readText(text, { target: '1' })).toMatchObject({
      labels: { l: '1', m: '2' },
      stages: [{}, { steps: [{ argv: ['/bin/bash', '-c', 'x'], env: { A: '1' }, cwd: '/w', user: 'u' }] }],
    });
    expect(readText(text)).toMatchObject({
      labels: {},
      stages: [{}, {}, { steps: [{}, { argv: ['/bin/sh', '-c', 'z'], env: {}, cwd: '/', user: null }] }],
    });
  });

  test('does not let a stage change the one below it', () => {
    const { stages } = readText('FROM x AS a\nENV A=1\nFROM a\nENV A=2\nFROM a AS c\nRUN x', { target: 'c' });
    expect(stages.at(-1)).toMatchObject({ steps: [{ env: { A: '1' } }] });
  });
});

describe('the stages', () => {
  const text = `FROM x AS a
FROM y AS b
FROM a AS c
COPY --from=b /a /b
FROM z AS d
RUN --mount=type=cache,target=/a,from=c,source=/a x
FROM d AS e
RUN --mount=from=1,target=/a x
FROM scratch`;

  test.each([
    [undefined, [5]],
    ['a', [0]],
    ['c', [0, 1, 2]],
    ['D', [0, 1, 2, 3]],
    ['e', [0, 1, 2, 3, 4]],
    ['4', [0, 1, 2, 3, 4]],
    ['5', [5]],
  ])('that %s needs are built, and no others', (target, expected) => {
    expect(indices(text, target)).toEqual(expected);
  });

  test('may have one name, which is then that of the last before', () => {
    expect(indices('FROM x AS a\nFROM y AS a\nFROM a\nFROM z AS a', '2')).toEqual([1, 2]);
  });

  test.each([
    ['FROM x AS builder\nFROM y AS final', 'biulder', "there is no stage 'biulder'\ndid you mean builder?"],
    ['FROM x AS builder\nFROM y AS final', 'BUILDRE', "there is no stage 'BUILDRE'\ndid you mean builder?"],
    ['FROM x AS builder\nFROM y AS final', 'other', "there is no stage 'other'\nits stages: builder, final"],
    ['FROM x', '1', "there is no stage '1'"],
    ['FROM x', '', "there is no stage ''"],
    ['FROM x', 'a\u001b[31m', "there is no stage 'a'"],
    ['FROM x AS a\nCOPY --from=a b c', undefined, "stage 'a' begins in line 1, not before this one"],
    ['FROM x AS a\nCOPY --from=b b c\nFROM x AS b', 'a', "stage 'b' begins in line 3, not before this one"],
    ['FROM x AS a\nRUN --mount=from=0,target=/a b', undefined, 'there is no stage 0 before this one'],
    [
      'FROM x AS a\nCOPY --from=b b c\nFROM x AS b\nFROM x',
      undefined,
      "Containerfile:2: stage 'b' begins in line 3",
    ],
  ])('%j are refused for target %j', (text, target, why) => {
    expect(refusalOf(text, { target })).toContain(why);
  });

  test('that are not built may want what was not given', () => {
    const recipe = readText('FROM x\nENV A=${A:?no}\nCMD x\nFROM y');
    expect(recipe.stages).toHaveLength(1);
    expect(recipe.notes).toEqual([]);
  });
});

describe('LABEL', () => {
  test.each([
    ['LABEL a=1 "b c"="d e" f=\'$x\'', { a: '1', 'b c': 'd e', f: '$x' }],
    ['LABEL a b  c', { a: 'b  c' }],
    ['LABEL a=1\nLABEL a=2', { a: '2' }],
    ['ARG x=1\nENV y=2\nLABEL a=$x b=${y}', { a: '1', b: '2' }],
    ['LABEL __proto__=1', JSON.parse('{"__proto__":"1"}')],
  ])('%j is kept', (lines, labels) => {
    expect(readText(`FROM x\n${lines}`).labels).toEqual(labels);
  });

  test('is kept up to the 1024th', () => {
    const labels = Array.from({ length: 1025 }, (_, index) => `l${index}=`);
    expect(Object.keys(readText(`FROM x\nLABEL ${labels.slice(1).join(' ')}`).labels)).toHaveLength(1024);
    expect(refusalOf(`FROM x\nLABEL ${labels.join(' ')}`)).toContain('more than 1024 labels');
  });

  test.each([
    ['LABEL', 'LABEL sets nothing'],
    ['LABEL a', "'a' has no value"],
    ['LABEL =b', 'the name of a label is empty'],
    ['LABEL a=b c', "'c' is not NAME=VALUE"],
  ])('%j is refused', (line, why) => {
    expect(refusalOf(`FROM x\n${line}`)).toContain(why);
  });
});

describe('--platform', () => {
  test.each([
    'linux',
    'Linux',
    '$BUILDPLATFORM',
    '$TARGETOS/$TARGETARCH',
    '$TARGETARCH',
    '${TARGETPLATFORM}/v8',
  ])('%s is this machine', (platform) => {
    expect(readText(`FROM --platform=${platform} x`).notes).toEqual([]);
  });

  test('of another machine has a note', () => {
    expect(readText('FROM --platform=linux/s390x x').notes).toEqual([
      expect.stringContaining('--platform in line 1 has no effect'),
    ]);
  });
});
