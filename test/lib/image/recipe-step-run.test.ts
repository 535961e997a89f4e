import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testAccounts } from '../../support/cli.ts';
import { StepBox } from '../../support/step-box.ts';

const PASSWD = [
  'root:x:0:0:root:/root:/bin/sh',
  'app:x:1000:1001:app:/home/app:/bin/sh',
  'homeless:x:1002:1002:::/bin/sh',
  '7:x:1007:1007:named like a number:/seven:/bin/sh',
  'broken:x:none:0::/:',
  '',
].join('\n');
const GROUP = 'root:x:0:\nstaff:x:50:app,other\nwheel:x:10:app\nempty:x:77:\n';

describe.each(testAccounts())('RUN of $label', (account) => {
  let box: StepBox;
  beforeAll(async () => {
    box = await StepBox.open(account, {
      proxies: { http_proxy: 'http://given:1', NO_PROXY: 'given' },
      env: { http_proxy: 'http://own:1' },
      files: { 'etc/passwd': PASSWD, 'etc/group': GROUP, 'srv/here': 'x' },
    });
  });
  afterAll(() => box.remove());

  /** What a command writes to /out. */
  const output = async (text: string): Promise<string> => {
    await box.steps(text);
    return box.sh('cat /out; rm -f /out');
  };

  test('runs a shell, a program or a script in its directory and environment', async () => {
    expect(await output('ENV A="two words"\nARG B=arg\nWORKDIR /srv\nRUN echo "$A $B $(pwd)" >/out')).toBe(
      'two words arg /srv\n',
    );
    expect(await output('RUN ["/bin/busybox", "touch", "/out"]')).toBe('');
    expect(await output('RUN echo $http_proxy $NO_PROXY >/out')).toBe('http://given:1 given\n');
    expect(await output('ENV http_proxy=mine\nRUN echo $http_proxy >/out')).toBe('mine\n');
    expect(await output('RUN <<EOF\necho one >/out\necho two >>/out\nEOF')).toBe('one\ntwo\n');
    const script = 'RUN <<SCRIPT\n#!/bin/sh\necho "$0 $#" >/out\nls -l /dev/pipes >>/out\nSCRIPT';
    expect(await output(script)).toMatch(/^\/dev\/pipes\/SCRIPT 0\n.*-rwxr-xr-x.* SCRIPT\n$/su);
    expect(await box.sh('ls /dev')).not.toContain('pipes');
  });

  test('finds in /tmp what another step left, and nothing on its stdin', async () => {
    await box.steps('RUN echo kept >/tmp/file');
    expect(await output('RUN cat /tmp/file >/out; busybox wc -c >>/out')).toBe('kept\n0\n');
  });

  test('has no network when it is told so', async () => {
    const devices = "sed -n 's/^ *\\([a-z0-9]*\\):.*/\\1/p' /proc/net/dev";
    expect(await output(`RUN --network=none busybox ${devices} >/out`)).toBe('lo\n');
    const host = await output(`RUN --network=host busybox ${devices} >/out`);
    expect(await output(`RUN busybox ${devices} >/out`)).toBe(host);
  });

  test.each([
    ['app', '1000 1001 1001 10 50 /home/app app'],
    ['1000', '1000 1001 1001 10 50 /home/app app'],
    ['app:staff', '1000 50 50 /home/app app'],
    ['app:77', '1000 77 77 /home/app app'],
    ['homeless', '1002 1002 1002 / homeless'],
    ['4711', '4711 0 0 / 4711'],
    ['4711:4712', '4711 4712 4712 / 4711'],
    ['7', '1007 1007 1007 /seven 7'],
    ['root', '0 0 0 /root root'],
    ['0:0', '0 0 0 /root root'],
  ])('as USER %s is %s', async (user, expected) => {
    await box.sh('rm -f /out; touch /out; chmod 666 /out');
    const [uid = '', gid = '', ...rest] = expected.split(' ');
    const [home, name] = rest.slice(-2);
    const groups = rest.slice(0, -2).sort();
    await box.steps(
      `USER ${user}\nRUN (busybox id -u; busybox id -g; echo $HOME $USER; busybox id -G) >/out`,
    );
    const [u, g, who, all = ''] = (await box.sh('cat /out; rm /out')).split('\n');
    expect([u, g, who]).toEqual([uid, gid, `${home} ${name}`]);
    expect([...new Set(all.split(' '))].sort()).toEqual([...new Set(groups)].sort());
  });

  test('may do no more than its user, whose HOME may be set', async () => {
    await box.sh('rm -f /out; touch /out; chmod 666 /out');
    const script =
      'echo $HOME >/out; ! echo x >/etc/passwd; cat /proc/self/status | busybox grep CapEff >>/out';
    await box.steps(`ENV HOME=/elsewhere\nUSER app\nRUN ${script}`);
    expect(await box.sh('cat /out; rm /out')).toBe('/elsewhere\nCapEff:\t0000000000000000\n');
  });

  test.each([
    ['USER nobody-there\nRUN true', "(line 3): there is no user 'nobody-there' in /etc/passwd of the image"],
    ['USER broken\nRUN true', "there is no user 'broken'"],
    ['USER app:no-group\nRUN true', "there is no group 'no-group' in /etc/group"],
  ])('%j is refused', async (text, message) => {
    expect(await box.refused(text)).toMatchObject({
      code: 'preflight_failed',
      message: expect.stringContaining(message),
    });
  });

  test('that fails says so with what it printed', async () => {
    expect(await box.refused('RUN echo last words; exit 7')).toMatchObject({
      code: 'step_failed',
      message: expect.stringMatching(/failed with status 7 .*\n {2}\| last words/su),
    });
    expect(await box.refused('RUN ["no-such-program"]')).toMatchObject({ code: 'step_failed' });
    expect(await box.refused('USER app\nRUN ["no-such-program"]')).toMatchObject({
      code: 'step_failed',
      message: expect.stringContaining('no-such-program'),
    });
    expect(box.log).toMatch(/RUN echo last words; exit 7\n.* {3}last words\n.*: status 7 after/u);
  });

  test('reads nothing of passwd that is a device or a directory, and no more than a bound', async () => {
    await box.sh('mv /etc/passwd /etc/kept; ln -s /dev/zero /etc/passwd');
    expect(await box.refused('USER app\nRUN true')).toMatchObject({ code: 'preflight_failed' });
    await box.sh('rm /etc/passwd; busybox mkfifo /etc/passwd');
    expect(await box.refused('USER app\nRUN true')).toMatchObject({ code: 'preflight_failed' });
    await box.sh('rm /etc/passwd; mv /etc/kept /etc/passwd');
    expect(readFileSync('/etc/passwd', 'utf8')).not.toContain('homeless');
  });

  test('makes a WORKDIR of its user', async () => {
    await box.steps('WORKDIR /deep/root\nUSER app\nWORKDIR /deep/of/app\nWORKDIR /srv');
    expect(await box.tree('/deep')).toEqual([
      '755 1000:1001 ./of/',
      '755 1000:1001 ./of/app/',
      '755 0:0 ./root/',
    ]);
  });

  test('leaves a sound image', () => box.close());
});
