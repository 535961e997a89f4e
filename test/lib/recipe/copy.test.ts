import { describe, expect, test } from 'vitest';
import { copyOf, refusalOf } from './read-text.ts';

const copy = (line: string) => copyOf(`FROM x AS one\nFROM x\nARG A=arg\nWORKDIR /w/d\n${line}`);

describe('COPY', () => {
  test.each([
    ['COPY a b', { sources: ['a'], target: '/w/d/b', targetIsDirectory: false }],
    ['COPY a .', { sources: ['a'], target: '/w/d', targetIsDirectory: true }],
    ['COPY a ./', { sources: ['a'], target: '/w/d', targetIsDirectory: true }],
    ['COPY a ..', { sources: ['a'], target: '/w', targetIsDirectory: true }],
    ['COPY a /b/', { sources: ['a'], target: '/b', targetIsDirectory: true }],
    ['COPY a /', { sources: ['a'], target: '/', targetIsDirectory: true }],
    ['COPY a ../b//c', { sources: ['a'], target: '/w/b/c', targetIsDirectory: false }],
    ['COPY a /x/../../b.', { sources: ['a'], target: '/b.', targetIsDirectory: false }],
    ['COPY . b', { sources: ['.'] }],
    ['COPY / b', { sources: ['.'] }],
    ['COPY ./a/ b', { sources: ['a'] }],
    ['COPY ../../a b', { sources: ['a'] }],
    ['COPY a/../../b c', { sources: ['b'] }],
    ['COPY *.[ch] a? b/', { sources: ['*.[ch]', 'a?'], target: '/w/d/b', targetIsDirectory: true }],
    ['COPY $A ${A}x/', { sources: ['arg'], target: '/w/d/argx' }],
    ['COPY \\$A "$A"/', { sources: ['$A'], target: '/w/d/arg' }],
    ['COPY ["a b", "$A", "/c d/"]', { sources: ['a b', 'arg'], target: '/c d', targetIsDirectory: true }],
    ['COPY ["<<EOF", "b"]', { sources: ['<<EOF'], files: [], target: '/w/d/b' }],
    ['COPY [ "a","b" ]', { sources: ['a'], target: '/w/d/b' }],
    ['COPY [a b/', { sources: ['[a'], target: '/w/d/b' }],
    ['COPY --chown=1:2 --chmod=0644 a b', { chown: '1:2', chmod: '0644' }],
    ['COPY --chown=$A --chmod=u+x,go= a b', { chown: 'arg', chmod: 'u+x,go=' }],
    ['COPY --exclude=*.o --exclude="$A x" a b', { excludes: ['*.o', 'arg x'] }],
    ['COPY --link=TRUE --parents=False a b', { parents: false }],
    ['COPY --parents=True a b', { parents: true }],
    ['COPY --parents a/./b/c ./d/./e /./f g/', { parents: true, sources: ['a/./b/c', 'd/./e', 'f'] }],
    ['COPY --from=one a b', { from: { kind: 'stage', index: 0 } }],
    ['COPY --from=ONE a b', { from: { kind: 'stage', index: 0 } }],
    ['COPY --from=0 a b', { from: { kind: 'stage', index: 0 } }],
    ['COPY --from=image a b', { from: { kind: 'image', ref: 'image' } }],
    ['COPY -- --a b', { sources: ['--a'] }],
    ['ADD a.tar b', { unpack: true, from: { kind: 'context' } }],
    ['ADD --unpack=false a.tar b', { unpack: false }],
    [
      'COPY a.tar b',
      { unpack: false, chown: null, chmod: null, excludes: [], files: [], from: { kind: 'context' } },
    ],
  ])('%s is understood', (line, expected) => {
    expect(copy(line)).toMatchObject(expected);
  });

  test.each([
    ['COPY', 'COPY needs a source and a target'],
    ['COPY a', 'COPY needs a source and a target'],
    ['COPY ["a"]', 'COPY needs a source and a target'],
    ['COPY ["a", 1]', 'an array may hold nothing but strings'],
    ['COPY ["a", "\\u0000"]', 'a NUL byte cannot be part of an argument'],
    ['COPY "a b" c', 'COPY ["a path", "/target/"]'],
    ['COPY a b c', "more than one source, and 'c' is no directory"],
    ['COPY $B c', "'$B' is empty"],
    ['COPY a $B', "'$B' is empty"],
    ['COPY --chown= a b', '--chown needs a value'],
    ['COPY --chown a b', '--chown needs a value'],
    ['COPY --chown=a:b:c a b', "'a:b:c' is not a user"],
    ['COPY --chmod=888 a b', "'888' is not a mode"],
    ['COPY --chmod=u+q a b', "'u+q' is not a mode"],
    ['COPY --chmod=77777 a b', "'77777' is not a mode"],
    ['COPY --chmod=1 --chmod=2 a b', '--chmod stands there twice'],
    ['COPY --link=maybe a b', '--link is either true or false'],
    ['COPY --unpack a b', "COPY has no flag '--unpack'"],
    ['COPY --form=a b c', 'did you mean --from?'],
    ['COPY --from=$A a b', 'no variables are replaced here'],
    ['COPY --from=scratch a b', 'scratch is empty'],
    ['COPY --from=1 a b', 'there is no stage 1 before this one'],
    ['COPY --from=99 a b', 'there is no stage 99 before this one'],
    ['COPY https://a.example/b c', 'nothing is fetched from the network for COPY'],
    ['ADD --keep-git-dir=true a b', '--keep-git-dir is about what ADD fetches'],
    ['ADD --checksum=sha256:1 a b', '--checksum is about what ADD fetches'],
  ])('%s is refused', (line, why) => {
    expect(refusalOf(`FROM x\nFROM x\nARG A=arg\n${line}`)).toContain(why);
  });

  test.each([
    ['https://a.example/b.tar.gz', 'RUN curl'],
    ['HTTP://a.example/', 'RUN curl'],
    ['ftp://a.example/b', 'RUN curl'],
    ['https://a.example/b.git', 'RUN git clone'],
    ['https://a.example/b.git#v1:dir', 'RUN git clone'],
    ['git@a.example:b/c', 'RUN git clone'],
    ['git://a.example/b', 'RUN git clone'],
    ['ssh://git@a.example/b', 'RUN git clone'],
  ])('ADD %s says how to fetch it', (address, how) => {
    expect(refusalOf(`FROM x\nADD ${address} /b`)).toContain(`fetch it in a RUN: ${how}`);
    expect(refusalOf(`FROM x\nARG A=${address}\nADD $A /b`)).toContain(how);
  });

  test('of a file with a colon in its name is no address', () => {
    expect(copy('ADD a:b git@c d/').sources).toEqual(['a:b', 'git@c']);
  });
});
