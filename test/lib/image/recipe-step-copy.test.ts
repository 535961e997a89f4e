import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
import { testAccounts } from '../../support/cli.ts';
import { StepBox } from '../../support/step-box.ts';

const CONTEXT = {
  'a.txt': 'a',
  'b.txt': 'b',
  'run.sh': '#!/bin/sh\n',
  'dir/one': '1',
  'dir/sub/two': '2',
  'dir/sub/deep/three': '3',
  'other/one': 'other',
  'skip/keep': 'k',
  'skip/drop.log': 'd',
  'secret/key': 'never',
  '.dockerignore': 'secret\n',
  'merged/lib/x.so': 'so',
  'merged/etc/conf': 'conf',
  setuid: 'suid',
  twelve: 'x'.repeat(12),
};

describe.each(testAccounts())('COPY of $label', (account) => {
  let box: StepBox;
  beforeAll(async () => {
    box = await StepBox.open(account, {
      context: CONTEXT,
      sizeMiB: 64,
      files: {
        'etc/passwd': 'root:x:0:0::/root:\napp:x:1000:1001::/:\n',
        'etc/group': 'root:x:0:\nstaff:x:50:\n',
      },
    });
    const at = (path: string): string => box.path(`context/${path}`);
    chmodSync(at('run.sh'), 0o755);
    chmodSync(at('setuid'), 0o6755);
    chmodSync(at('dir/sub'), 0o750);
    symlinkSync('/etc/passwd', at('dir/absolute'));
    symlinkSync('../one', at('dir/sub/up'));
    symlinkSync('a.txt', at('link-to-a'));
    symlinkSync('dir', at('link-to-dir'));
    mkdirSync(at('dir/empty'), { mode: 0o700 });
    utimesSync(at('a.txt'), 1_000_000_000, 1_000_000_000);
    utimesSync(at('dir/sub'), 1_000_000_001, 1_000_000_001);
    await run('chown', ['-R', `${account.uid}:${account.gid}`, box.path('context')]);
    // It takes them from what is given to another owner.
    chmodSync(at('setuid'), 0o6755);
    await box.sh('mkdir /t');
  });
  afterAll(() => box.remove());

  /** What is in /t after some instructions, which are taken back. */
  const result = async (text: string): Promise<string[]> => {
    await box.steps(text);
    const tree = await box.tree('/t');
    await box.sh('rm -rf /t; mkdir /t');
    return tree;
  };
  const WHOLE = [
    '777 0:0 ./absolute -> /etc/passwd',
    '700 0:0 ./empty/',
    '644 0:0 ./one = 1',
    '750 0:0 ./sub/',
    '755 0:0 ./sub/deep/',
    '644 0:0 ./sub/deep/three = 3',
    '644 0:0 ./sub/two = 2',
    '777 0:0 ./sub/up -> ../one',
  ];

  // Dockerfile reference, COPY: "Copying from the build context", "Destination".
  test.each([
    ['COPY a.txt /t/new', ['644 0:0 ./new = a']],
    ['COPY a.txt /t', ['644 0:0 ./a.txt = a']],
    ['COPY a.txt /t/', ['644 0:0 ./a.txt = a']],
    ['COPY a.txt /t/x/y/', ['755 0:0 ./x/', '755 0:0 ./x/y/', '644 0:0 ./x/y/a.txt = a']],
    ['COPY a.txt /t/x/y', ['755 0:0 ./x/', '644 0:0 ./x/y = a']],
    ['COPY a.txt b.txt /t/x/', ['755 0:0 ./x/', '644 0:0 ./x/a.txt = a', '644 0:0 ./x/b.txt = b']],
    ['COPY *.txt /t/', ['644 0:0 ./a.txt = a', '644 0:0 ./b.txt = b']],
    ['COPY dir /t', WHOLE],
    ['COPY dir/ /t/', WHOLE],
    ['COPY link-to-dir /t', WHOLE],
    ['COPY link-to-a /t/', ['644 0:0 ./link-to-a = a']],
    ['COPY run.sh setuid /t/', ['755 0:0 ./run.sh = #!/bin/sh', '6755 0:0 ./setuid = suid']],
    ['COPY dir/empty /t/here', ['755 0:0 ./here/']],
    ['COPY --chown=app a.txt /t/x/y', ['755 1000:1001 ./x/', '644 1000:1001 ./x/y = a']],
    ['COPY --chown=12 a.txt /t/', ['644 12:12 ./a.txt = a']],
    ['COPY --chown=app:staff setuid /t/', ['6755 1000:50 ./setuid = suid']],
    [
      'COPY --chown=7:staff dir/sub /t',
      ['755 7:50 ./deep/', '644 7:50 ./deep/three = 3', '644 7:50 ./two = 2', '777 7:50 ./up -> ../one'],
    ],
    ['COPY --chmod=0640 a.txt /t/', ['640 0:0 ./a.txt = a']],
    [
      'COPY --chmod=u=rwX,go=rX dir/sub /t',
      ['755 0:0 ./deep/', '644 0:0 ./deep/three = 3', '644 0:0 ./two = 2', '777 0:0 ./up -> ../one'],
    ],
    ['COPY --exclude=*.log skip /t/', ['644 0:0 ./keep = k']],
    ['COPY --parents dir/sub/two /t/', ['755 0:0 ./dir/', '750 0:0 ./dir/sub/', '644 0:0 ./dir/sub/two = 2']],
    [
      'COPY --parents dir/./sub/deep /t/',
      ['750 0:0 ./sub/', '755 0:0 ./sub/deep/', '644 0:0 ./sub/deep/three = 3'],
    ],
    ['COPY <<one /t/new\ntext\none', ['644 0:0 ./new = text']],
    ['COPY <<one <<two /t/\n1\none\n2\ntwo', ['644 0:0 ./one = 1', '644 0:0 ./two = 2']],
    ['WORKDIR /t/w\nCOPY a.txt .', ['755 0:0 ./w/', '644 0:0 ./w/a.txt = a']],
    ['ADD a.txt /t/', ['644 0:0 ./a.txt = a']],
  ])('%j', async (text, expected) => {
    expect(await result(text)).toEqual(expected);
  });

  test('replaces files and links, and goes into directories and links to them', async () => {
    await box.sh(
      'mkdir -p /t/usr/lib /t/etc; chmod 700 /t/usr/lib; ln -s usr/lib /t/lib; ln -s /etc/passwd /t/etc/conf',
    );
    expect(await result('COPY merged /t')).toEqual([
      '755 0:0 ./etc/',
      '644 0:0 ./etc/conf = conf',
      '777 0:0 ./lib -> usr/lib',
      '755 0:0 ./usr/',
      '755 0:0 ./usr/lib/',
      '644 0:0 ./usr/lib/x.so = so',
    ]);
    expect(await box.sh('cat /etc/passwd')).toContain('app');
  });

  test('keeps the times of files and directories, and the mode of a target that is there', async () => {
    await box.sh('chmod 711 /t');
    await box.steps('COPY dir a.txt /t/');
    expect(await box.sh('stat -c "%a %Y" /t/a.txt /t/sub; stat -c %a /t; rm -rf /t; mkdir /t')).toBe(
      '644 1000000000\n750 1000000001\n711\n',
    );
  });

  test.each([
    [
      'COPY nothing /t/',
      'preflight_failed',
      /^step: COPY nothing \/t\/ \(line 2\): 'nothing' is not in the build context/u,
    ],
    ['COPY secret/key /t/', 'preflight_failed', /left out of the build context by line 1/u],
    ['COPY *.txt /t/file', 'preflight_failed', /\(line 2\): there are 2 files .* \/t\/file is no directory/u],
    ['COPY --chown=nobody a.txt /t/', 'preflight_failed', /\(line 2\): there is no user 'nobody'/u],
    ['COPY a.txt /run/', 'step_failed', /\/run is not part of the image/u],
    ['RUN mkdir -p /t/file/a.txt\nCOPY a.txt /t/file/', 'step_failed', /a\.txt/u],
    ['RUN echo x >/t/plain\nCOPY dir /t/plain', 'step_failed', /plain/u],
    ['RUN echo x >/t/empty\nCOPY dir /t/', 'step_failed', /empty/u],
  ])('%j is refused', async (text, code, message) => {
    expect(await box.refused(text)).toMatchObject({ code, message: expect.stringMatching(message) });
    await box.sh('rm -rf /t; mkdir /t');
  });

  test('gives an owner above 65535 where there is one', async () => {
    const text = 'COPY --chown=70000 a.txt /t/';
    if (account.uid === 0) {
      expect(await result(text)).toEqual(['644 70000:70000 ./a.txt = a']);
      return;
    }
    expect(await box.refused(text)).toMatchObject({
      code: 'preflight_failed',
      message: expect.stringContaining('(line 2): a.txt is to belong to 70000'),
    });
    await box.sh('rm -rf /t; mkdir /t');
  });

  test('never leaves the guest by its links', async () => {
    const host = box.path('outside');
    mkdirSync(host);
    chmodSync(host, 0o777);
    await box.sh(`ln -s ${host} /t/out; ln -s ../../../../../../../../../..${host} /t/up; ln -s / /t/root`);
    // They lead to nothing in the guest, or to its own root.
    expect(await box.refused('COPY a.txt /t/out/')).toMatchObject({ code: 'step_failed' });
    expect(await box.refused('COPY dir /t/up')).toMatchObject({ code: 'step_failed' });
    await box.steps('COPY a.txt /t/root/etc/copied');
    expect(await box.sh('cat /etc/copied; rm -rf /t; mkdir /t')).toBe('a');
    expect(readdirSync(host)).toEqual([]);
    expect(() => readFileSync('/etc/copied')).toThrow('ENOENT');
  });

  test('takes any name there is', async () => {
    const at = (name: Buffer | string): Buffer =>
      Buffer.concat([Buffer.from(box.path('context/names/')), Buffer.from(name)]);
    mkdirSync(box.path('context/names'));
    const long = 'l'.repeat(200);
    for (const name of [
      Buffer.from([0x61, 0xff, 0xfe]),
      'é',
      '-rf',
      'new\nline',
      ' ',
      '..x',
      'back\\slash',
      long,
    ])
      writeFileSync(at(name), 'n');
    mkdirSync(at(`d${long}`));
    writeFileSync(at(`d${long}/${long}`), 'n');
    await run('chown', ['-R', `${account.uid}:${account.gid}`, box.path('context/names')]);
    await box.steps('COPY names /t');
    const count = "find . -type f | busybox tr -cd '\\0' | busybox wc -c";
    expect(await box.sh(`cd /t; find . -type f -print0 | busybox xargs -0 -n 1 cat; ${count}`)).toBe(
      `${'n'.repeat(9)}0\n`,
    );
    const bytes = 'for f in a*; do printf %s "$f" | busybox od -An -tx1; done';
    expect(await box.sh(`cd /t; ${bytes}; rm -rf /t; mkdir /t`)).toBe(' 61 ff fe\n');
  });

  test('copies many files, and one that is larger than all buffers', async () => {
    mkdirSync(box.path('context/many'));
    for (let index = 0; index < 1000; index += 1)
      writeFileSync(box.path(`context/many/${index}`), `${index}`);
    const large = Buffer.alloc(5 * 1024 * 1024 + 17, 'large ');
    writeFileSync(box.path('context/many/large'), large);
    await run('chown', ['-R', `${account.uid}:${account.gid}`, box.path('context/many')]);
    await box.steps('COPY many /t');
    expect(await box.sh('ls /t | busybox wc -l; cat /t/999; busybox wc -c </t/large')).toBe(
      `1001\n999${large.length}\n`,
    );
    expect((await box.sh('busybox sha256sum </t/large; rm -rf /t; mkdir /t')).split(' ')[0]).toBe(
      (await run('sha256sum', [box.path('context/many/large')])).stdout.split(' ')[0],
    );
  });

  test('has inputs that change with content, names and owners, and with nothing else', async () => {
    const key = async (text: string): Promise<string> => JSON.stringify(await box.inputs(text));
    const before = await key('COPY a.txt /t/');
    utimesSync(box.path('context/a.txt'), 2_000_000_000, 2_000_000_000);
    expect(await key('ENV A=1\nCOPY   a.txt   /t/')).toBe(before);
    expect(await key('COPY --chown=1 a.txt /t/')).not.toBe(before);
    expect(await key('COPY a.txt /t/x')).not.toBe(before);
    writeFileSync(box.path('context/a.txt'), 'changed');
    const [instruction, files] = await box.inputs('COPY a.txt /t/');
    expect(before).toContain(instruction?.digest);
    expect(files?.name).toBe('files');
    expect(before).not.toContain(files?.digest);
  });

  test('leaves a sound image', () => box.close());
});
