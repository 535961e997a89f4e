import { describe, expect, test } from 'vitest';
import { RecipeFaults } from '../../../src/lib/recipe/faults.ts';
import { parseInstructions } from '../../../src/lib/recipe/instruction.ts';
import { run } from '../../../src/lib/system/process.ts';
import { copyOf, readText, refusalOf, runOf, stepsOf } from './read-text.ts';

/** Line, keyword and arguments of each instruction. */
function parsed(text: string): unknown[] {
  const faults = new RecipeFaults('Containerfile');
  const { instructions } = parseInstructions(text, faults);
  faults.throwIfAny();
  return instructions.map((one) => [one.line, one.keyword, ...('flags' in one ? [one.rest] : [])]);
}

describe('an instruction', () => {
  test.each([
    ['RUN a', [[1, 'RUN', 'a']]],
    ['run a', [[1, 'RUN', 'a']]],
    ['\n\n  RUN\ta  b \n', [[3, 'RUN', 'a  b']]],
    [
      '# one\nRUN a # two\n#three\nRUN b',
      [
        [2, 'RUN', 'a # two'],
        [4, 'RUN', 'b'],
      ],
    ],
    [
      'RUN a \\\n b \\\n c\nRUN d',
      [
        [1, 'RUN', 'a  b  c'],
        [4, 'RUN', 'd'],
      ],
    ],
    ['RUN a\\\nb', [[1, 'RUN', 'ab']]],
    ['RUN a \\  \t\n b', [[1, 'RUN', 'a  b']]],
    ['RUN a \\\n# c\n\n  # d \\\n b', [[1, 'RUN', 'a  b']]],
    ['RUN a \\\n\n\nRUN b', [[1, 'RUN', 'a RUN b']]],
    [
      'RUN a \\\\\nRUN b',
      [
        [1, 'RUN', 'a \\\\'],
        [2, 'RUN', 'b'],
      ],
    ],
    ['RUN a \\', [[1, 'RUN', 'a']]],
    ['\\\nRUN a', [[1, 'RUN', 'a']]],
    ['RU\\\nN a', [[1, 'RUN', 'a']]],
    [
      'RUN a\r\nRUN b \\\r\n c\r\n',
      [
        [1, 'RUN', 'a'],
        [2, 'RUN', 'b  c'],
      ],
    ],
    ['\ufeffRUN a', [[1, 'RUN', 'a']]],
    [
      '# escape=`\nRUN a `\n b\\\nRUN c',
      [
        [2, 'RUN', 'a  b\\'],
        [4, 'RUN', 'c'],
      ],
    ],
    ['#ESCAPE = `\n#syntax=x\nRUN a `\n b', [[3, 'RUN', 'a  b']]],
    [
      '# other=1\n# escape=`\nRUN a `\nRUN b',
      [
        [3, 'RUN', 'a `'],
        [4, 'RUN', 'b'],
      ],
    ],
    ['\n# escape=`\nRUN a `', [[3, 'RUN', 'a `']]],
    ['# escape=\n# escape=`\nRUN a `', [[3, 'RUN', 'a `']]],
    [
      "RUN cat <<EOF don't\nRUN b",
      [
        [1, 'RUN', "cat <<EOF don't"],
        [2, 'RUN', 'b'],
      ],
    ],
    [
      'CMD a\\\nb\nRUN c',
      [
        [1, 'CMD'],
        [3, 'RUN', 'c'],
      ],
    ],
    ['', []],
    ['# nothing', []],
  ])('is found in %j', (text, expected) => {
    expect(parsed(text)).toEqual(expected);
  });

  test('has a title on one line, without what could steer a terminal, cut where it is long', () => {
    const title = (text: string) => runOf(`FROM x\n${text}`).title;
    expect(title('RUN a \\\n    b\t&& c')).toBe('RUN a b && c');
    expect(title('RUN echo \u001b[31mred\u202e')).toBe('RUN echo red');
    expect(title('RUN <<EOF cat\nsecret\nEOF')).toBe('RUN <<EOF cat');
    expect(title(`RUN ${'x'.repeat(500)}`)).toMatch(/^RUN x{195}…$/u);
    expect(title(`RUN ${'x'.repeat(196)}`)).toMatch(/^RUN x{196}$/u);
    expect(runOf('FROM x\nARG A\nRUN echo $A', { buildArgs: { A: 'value' } }).title).toBe('RUN echo $A');
  });
});

describe('a here-document', () => {
  const content = (text: string) => copyOf(`FROM x\n${text}`).files;

  test.each([
    ['COPY <<EOF /a\nb\nEOF', [{ name: 'EOF', content: 'b\n' }]],
    ['COPY << EOF /a\nb\nEOF', [{ name: 'EOF', content: 'b\n' }]],
    [
      'COPY <<eo"f" <<"e"o\\\'g /a/\nb\neof\nc\neo\'g',
      [
        { name: 'eof', content: 'b\n' },
        { name: "eo'g", content: 'c\n' },
      ],
    ],
    [
      'COPY <<X <<Y /a/\nY\nX\nX\nY',
      [
        { name: 'X', content: 'Y\n' },
        { name: 'Y', content: 'X\n' },
      ],
    ],
    ['COPY <<EOF /a\nEOF', [{ name: 'EOF', content: '' }]],
    [
      'COPY <<EOF /a\n\n# no comment\n  \\\n EOF\nEOFF\nEOF',
      [{ name: 'EOF', content: '\n# no comment\n  \n EOF\nEOFF\n' }],
    ],
    ["COPY <<'EOF' /a\n\\$x\nEOF", [{ name: 'EOF', content: '\\$x\n' }]],
    ['COPY <<\\EOF /a\n$x\nEOF', [{ name: 'EOF', content: '$x\n' }]],
    ['COPY <<-EOF /a\n\tb\n\t c\n d\n\tEOF', [{ name: 'EOF', content: 'b\n c\n d\n' }]],
    [
      'COPY <<a <<-"b" /d/\n1\na\n\t2\n\tb',
      [
        { name: 'a', content: '1\n' },
        { name: 'b', content: '2\n' },
      ],
    ],
    [
      'COPY <<a \\\n  <<b /d/\n1\na\n2\nb',
      [
        { name: 'a', content: '1\n' },
        { name: 'b', content: '2\n' },
      ],
    ],
    ['COPY <<E"O"F /a\n$x\nEOF', [{ name: 'EOF', content: '$x\n' }]],
    ['COPY <<EOF /a\r\nb\r\nEOF\r\n', [{ name: 'EOF', content: 'b\r\n' }]],
  ])('of %j holds what it should', (text, expected) => {
    expect(content(text)).toEqual(expected);
  });

  test.each([
    ['RUN <<EOF\na\nEOF', ['a\n']],
    ['RUN <<-EOF\n\ta\n\tEOF', ['a\n']],
    ["RUN <<'EOF'\n$a\nEOF", ['$a\n']],
    ['RUN 3<<EOF\na\nEOF', ['a\n']],
    ['RUN cat <<EOF\na\nEOF', ['cat <<EOF\na\nEOF']],
    ['RUN cat 3<<EOF <&3\na\nEOF', ['cat 3<<EOF <&3\na\nEOF']],
    ['RUN <<EOF cat\na\nEOF', ['<<EOF cat\na\nEOF']],
    ['RUN cat <<-EOF\n\ta\n\tEOF', ['cat <<-EOF\n\ta\nEOF']],
    ['RUN cat <<A <<B\na\nA\nb\nB', ['cat <<A <<B\na\nA\nb\nB']],
    ["RUN cat <<'E F'\na\nE F", ["cat <<'E F'\na\nE F"]],
    ['RUN cat <<EOF\na \\\nb\nEOF', ['cat <<EOF\na \\\nb\nEOF']],
    ['RUN cat << EOF\na\nEOF', ['cat << EOF\na\nEOF']],
    ['RUN cat <<-  EOF > b\n\ta\n\tEOF', ['cat <<-  EOF > b\n\ta\nEOF']],
    ['RUN << EOF\na\nEOF', ['a\n']],
    ['RUN cat << -EOF\na\n-EOF', ['cat << -EOF\na\n-EOF']],
    ['RUN cat <<$E\na\n$E', ['cat <<$E\na\n$E']],
    ['RUN echo $((1 << 2))', ['echo $((1 << 2))']],
    ['RUN echo $((1 <<2)) $(( 3<<4 ))', ['echo $((1 <<2)) $(( 3<<4 ))']],
    ['RUN echo $(( 1 << 2 )) && cat <<EOF\na\nEOF', ['echo $(( 1 << 2 )) && cat <<EOF\na\nEOF']],
    ['RUN echo a <<', ['echo a <<']],
    ['RUN echo "<<EOF"', ['echo "<<EOF"']],
    ['RUN cat <<<EOF', ['cat <<<EOF']],
    ['RUN a<<EOF', ['a<<EOF']],
  ])('%j is run by the shell', (text, expected) => {
    expect(stepsOf(`FROM x\n${text}`)).toMatchObject(
      expected.map((command) => ({ argv: ['/bin/sh', '-c', command] })),
    );
  });

  test.each([
    ["RUN cat <<A <<'B'\n1\nA\n$2\nB", '$2\n'],
    ['RUN A=1 && cat <<-EOF && echo $A\n\ta $A \\$A\n\t\tb\n\tEOF', 'a 1 $A\nb\n1\n'],
    ["RUN cat <<'E F'\na\\\nb\nE F", 'a\\\nb\n'],
    ['RUN cat <<EOF\na\\\nb\nEOF', 'ab\n'],
    ['RUN echo $(( 1 << 4 )) && \\\n  # no\n  cat << EOF\nx\nEOF', '16\nx\n'],
    ['RUN <<EOF\n# x\necho "a\n  b" # c\nEOF', 'a\n  b\n'],
  ])('as %j says to a shell what it says in the file', async (text, expected) => {
    const [shell = '', ...args] = runOf(`FROM x\n${text}`).argv;
    expect((await run(shell, args)).stdout).toBe(expected);
  });

  test('that begins with #! is a file of its own', () => {
    expect(
      runOf('FROM x\nSHELL ["/bin/bash", "-c"]\nRUN <<-PY\n\t#!/usr/bin/python3\n\tprint()\n\tPY'),
    ).toMatchObject({
      argv: ['/dev/pipes/PY'],
      script: { path: '/dev/pipes/PY', content: '#!/usr/bin/python3\nprint()\n' },
    });
  });

  test('of ONBUILD is passed over with it', () => {
    expect(readText('FROM x\nONBUILD RUN <<EOF\nFROM y\nEOF\nRUN z').stages).toMatchObject([
      { steps: [{ line: 5 }] },
    ]);
  });

  test.each([
    ['FROM x\nRUN cat <<EOF\na\n EOF\n', "Containerfile:2: here-document 'EOF' does not end"],
    [
      'FROM x\nCOPY <<../a /b/\nc\n../a\n',
      "Containerfile:2: here-document '../a' cannot be the name of a file",
    ],
    [
      'FROM x\nRUN <<a/b\n#!/bin/sh\na/b\n',
      "Containerfile:2: here-document 'a/b' cannot be the name of a file",
    ],
    ['FROM x\nCOPY a <<EOF\nEOF\n', 'a here-document is no target'],
    ['FROM x\nCOPY <<a <<b /c\na\nb\n', "more than one source, and '/c' is no directory"],
  ])('in %j is refused', (text, why) => {
    expect(refusalOf(text)).toContain(why);
  });
});
