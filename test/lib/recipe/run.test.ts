import { describe, expect, test } from 'vitest';
import { refusalOf, runOf } from './read-text.ts';

const run = (line: string) => runOf(`FROM x AS one\nFROM x\nARG A=arg\nWORKDIR /w\n${line}`);

describe('RUN', () => {
  test.each([
    ['RUN a $A "b" \\$c', ['/bin/sh', '-c', 'a $A "b" \\$c']],
    ['RUN ["a", "$A", "b c"]', ['a', '$A', 'b c']],
    ['RUN [ "a" ]', ['a']],
    ['RUN ["a\\u00e4\\n"]', ['aä\n']],
    ['RUN ["a"', ['/bin/sh', '-c', '["a"']],
    ['RUN "a"', ['/bin/sh', '-c', '"a"']],
    ['RUN 1', ['/bin/sh', '-c', '1']],
    ["RUN ['a']", ['/bin/sh', '-c', "['a']"]],
    ['RUN ["a"] && b', ['/bin/sh', '-c', '["a"] && b']],
    ['SHELL ["/bin/bash", "-euc"]\nRUN a', ['/bin/bash', '-euc', 'a']],
    ['SHELL ["/bin/bash", "-euc"]\nRUN ["a"]', ['a']],
    ['RUN --network=none -- --a', ['/bin/sh', '-c', '--a']],
  ])('%j is run as %j', (line, argv) => {
    expect(run(line)).toMatchObject({ argv, script: null, cwd: '/w', user: null });
  });

  test.each([
    ['RUN a', 'default'],
    ['RUN --network=default a', 'default'],
    ['RUN --network=none a', 'none'],
    ['RUN --network=host --security=sandbox a', 'host'],
  ])('%s has the network %s', (line, network) => {
    expect(run(line).network).toBe(network);
  });

  test.each([
    ['USER a', 'a', '/w'],
    ['USER "$A":0', 'arg:0', '/w'],
    ['USER 1\nUSER root\nWORKDIR b\nWORKDIR ../c/$A/', 'root', '/w/c/arg'],
    ['WORKDIR "/a b"', null, '/a b'],
    ['WORKDIR /a b', null, '/a b'],
    ['WORKDIR ../../..', null, '/'],
  ])('after %j is run by %s in %s', (lines, user, cwd) => {
    expect(run(`${lines}\nRUN a`)).toMatchObject({ user, cwd });
  });

  test.each([
    ['RUN', 'RUN names no command'],
    ['RUN --network=none', 'RUN names no command'],
    ['RUN []', 'RUN names no command'],
    ['RUN ["a", null]', 'an array may hold nothing but strings'],
    ['RUN --network=nnoe a', 'did you mean none?'],
    ['RUN --netwrok=none a', 'did you mean --network?'],
    ['RUN --security=insecure a', 'would let a command out of its sandbox'],
    ['RUN --privileged a', "RUN has no flag '--privileged'\nRUN has --mount, --network, --security"],
    [`RUN ${'ä'.repeat(70_000)}`, 'the command is too long for the system'],
    ['USER', 'USER names nobody'],
    ['USER $NONE', "'$NONE' is not a user"],
    ['USER a b', "'a b' is not a user"],
    ['WORKDIR', "WORKDIR '' names no directory"],
    ['WORKDIR $NONE', "WORKDIR '$NONE' names no directory"],
    ['SHELL /bin/sh -c', 'write SHELL ["/bin/bash", "-c"]'],
    ['SHELL []', 'is not an array of strings'],
  ])('%j is refused', (line, why) => {
    expect(refusalOf(`FROM x\n${line}`)).toContain(why);
  });
});

describe('a mount', () => {
  const mount = (text: string) => run(`RUN --mount=${text} a`).mounts[0];
  const noOwner = { uid: 0, gid: 0 };

  test.each([
    ['target=/a', { type: 'bind', from: { kind: 'context' }, source: '.', target: '/a', readonly: true }],
    [
      'type=bind,source=../$A,dst=b,rw',
      { type: 'bind', from: { kind: 'context' }, source: 'arg', target: '/w/b', readonly: false },
    ],
    [
      'type=bind,from=one,src=/a,destination=/b,readonly=false',
      { type: 'bind', from: { kind: 'stage', index: 0 }, source: 'a', target: '/b', readonly: false },
    ],
    [
      'from=img,target=/b,rw=false',
      { type: 'bind', from: { kind: 'image', ref: 'img' }, source: '.', target: '/b', readonly: true },
    ],
    [
      'type=cache,target=/a',
      {
        type: 'cache',
        id: '/a',
        target: '/a',
        readonly: false,
        sharing: 'shared',
        from: null,
        mode: 0o755,
        ...noOwner,
      },
    ],
    [
      'TYPE=Cache,id=$A,target=./a/,sharing=LOCKED,mode=1777,uid=5,gid=4294967294,ro',
      {
        type: 'cache',
        id: 'arg',
        target: '/w/a',
        readonly: true,
        sharing: 'locked',
        from: null,
        mode: 0o1777,
        uid: 5,
        gid: 4_294_967_294,
      },
    ],
    [
      'type=cache,target=/a,from=one,source=/b',
      {
        type: 'cache',
        id: '/a',
        target: '/a',
        readonly: false,
        sharing: 'shared',
        from: { origin: { kind: 'stage', index: 0 }, source: 'b' },
        mode: 0o755,
        ...noOwner,
      },
    ],
    ['type=tmpfs,target=/a', { type: 'tmpfs', target: '/a', size: null }],
    ['type=tmpfs,target=/a,size=1g', { type: 'tmpfs', target: '/a', size: 1_073_741_824 }],
    ['type=tmpfs,target=/a,size=2M', { type: 'tmpfs', target: '/a', size: 2_097_152 }],
    ['type=tmpfs,target=/a,size=100', { type: 'tmpfs', target: '/a', size: 100 }],
    [
      'type=secret,id=a',
      {
        type: 'secret',
        id: 'a',
        target: '/run/secrets/a',
        env: null,
        required: false,
        mode: 0o400,
        ...noOwner,
      },
    ],
    [
      'type=secret,target=/b/c',
      { type: 'secret', id: 'c', target: '/b/c', env: null, required: false, mode: 0o400, ...noOwner },
    ],
    [
      'type=secret,id=a,env=B,required',
      { type: 'secret', id: 'a', target: null, env: 'B', required: true, mode: 0o400, ...noOwner },
    ],
    [
      'type=secret,src=a,env=B,target=c,uid=1',
      { type: 'secret', id: 'a', target: '/w/c', env: 'B', required: false, mode: 0o400, uid: 1, gid: 0 },
    ],
    [`'type=tmpfs,"target=/a,b"'`, { type: 'tmpfs', target: '/a,b', size: null }],
  ])('%s is understood', (text, expected) => {
    expect(mount(text)).toEqual(expected);
  });

  test('is one of several, in their order', () => {
    const { mounts } = run('RUN --mount=type=tmpfs,target=/b --mount=type=tmpfs,target=/a a');
    expect(mounts).toMatchObject([{ target: '/b' }, { target: '/a' }]);
  });

  test.each([
    ['type=ssh', "there are no mounts of type 'ssh'"],
    ['type=cahce,target=/a', 'did you mean cache?'],
    ['type=cache', 'a mount has no target'],
    ['type=bind,target=/', 'cannot be the whole filesystem'],
    ['type=bind,target=/a,size=1', "a mount of type bind has no 'size=1'"],
    ['type=bind,traget=/a', 'did you mean target?'],
    ['type=bind,target', 'target of a mount needs a value'],
    ['type=bind,target=/a,ro=perhaps', "'ro=perhaps' is neither true nor false"],
    ['type=cache,target=/a,sharing=some', "'sharing=some' of a mount is not one of shared, private, locked"],
    ['type=cache,target=/a,mode=9', "'mode=9' of a mount is not an octal number"],
    ['type=cache,target=/a,uid=me', "'uid=me' of a mount is not a number"],
    ['type=cache,target=/a,gid=4294967295', 'of a mount is not a number'],
    ['type=cache,target=/a,source=/b', 'source in a cache is of no use without from'],
    ['type=tmpfs,target=/a,size=big', "'size=big' of a mount is not a size"],
    ['type=secret', 'a secret has neither id nor target'],
    ['type=secret,id=..', 'the id of a secret is not a name'],
    ['type=secret,id=a/.', 'the id of a secret is not a name'],
    ['type=secret,id=/', 'the id of a secret is not a name'],
    ['from=$A,target=/a', 'no variables are replaced here'],
    ['from=last,target=/a', "stage 'last' begins in line 3"],
    ['"target=/a', 'RUN names no command'],
    [`'type=cache,"target=/a,b","id=c""d"'`, 'a double quote is missing'],
    ["'\"target=/a'", 'a double quote is missing'],
    ['type=tmpfs,target=/a,', "a mount of type tmpfs has no ''"],
  ])('%s is refused', (text, why) => {
    expect(refusalOf(`FROM x\nRUN --mount=${text} a\nFROM x AS last`, { target: '0' })).toContain(why);
  });
});
