import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, inject, vi } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
import { type Box, test } from '../../support/box.ts';
import { testAccounts } from '../../support/cli.ts';
import { makeRootfs } from '../../support/images.ts';

/** All that is in an image but for times. */
async function listing(box: Box): Promise<string> {
  const format = '%P %y %m %U %G %s %l\\n';
  return (await box.tool('find', [join(box.directory, 'mnt'), '-printf', format])).stdout;
}

const OPEN_FILES = 'for fd in /proc/self/fd/*; do echo "$' + '{fd##*/}"; done';

describe.each(testAccounts())('a sandbox of $label', (account) => {
  test('gives a step a clean environment of its own', async ({ openBox }) => {
    const box = await openBox(account, {
      leak: 9,
      env: { SECRET: 'hush', http_proxy: 'http://proxy:1', NO_PROXY: 'localhost', LANG: 'de_DE.UTF-8' },
    });
    // Bash would run this for what it takes for a network connection, as Node's pipes are.
    writeFileSync(join(box.directory, '.bashrc'), 'touch "$HOME/sourced"; export SOURCED=yes\n');
    const env = await box.ok('env', { env: { GREETING: 'two words', PATH: '/bin:/elsewhere' } });
    expect(env.trim().split('\n').sort()).toEqual([
      'DEBIAN_FRONTEND=noninteractive',
      'GREETING=two words',
      'HOME=/root',
      'LANG=C.UTF-8',
      'LOGNAME=root',
      'NO_PROXY=localhost',
      'PATH=/bin:/elsewhere',
      'PWD=/',
      'SHELL=/bin/sh',
      'SHLVL=1',
      'SYSTEMD_OFFLINE=1',
      'TERM=dumb',
      'USER=root',
      'http_proxy=http://proxy:1',
    ]);
    expect(existsSync(join(box.directory, 'sourced'))).toBe(false);
    expect(await box.ok('umask; pwd; busybox hostname', { cwd: '/etc' })).toBe('0022\n/etc\nlocalhost\n');
    // The fourth is what lists them.
    expect((await box.ok(OPEN_FILES)).trim().split('\n')).toHaveLength(4);
    expect(await box.ok('cat; busybox wc -c </dev/null')).toBe('0\n');
    expect(await box.ok('id -u; id -g; busybox id -G; stat -c "%u %g %a" / /root /tmp /run /dev/shm')).toBe(
      '0\n0\n0\n0 0 755\n0 0 700\n0 0 1777\n0 0 755\n0 0 1777\n',
    );
  });

  test('passes output on as it comes, and a status as it is', async ({ openBox }) => {
    const box = await openBox(account);
    expect(await box.sh('echo out; echo err >&2; exit 7')).toMatchObject({
      exitCode: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(box.lines.sort()).toEqual(['err', 'out']);
    // Node's own pipes are sockets, which cannot be opened again.
    expect(await box.ok('echo again >/dev/stdout; echo twice | busybox tee /dev/stderr')).toBe(
      'again\ntwice\n',
    );
    expect(await box.sh('kill -9 $$')).toMatchObject({ exitCode: 137 });
    expect(await box.run(['no-such-program'])).toMatchObject({ exitCode: 1 });
    const odd = ['it\'s "odd"', '$(id)', 'line\nline', '', '--', '-x', 'é'];
    expect((await box.run(['/bin/sh', '-c', 'for a; do echo "[$a]"; done', 'sh', ...odd])).stdout).toBe(
      odd.map((argument) => `[${argument}]\n`).join(''),
    );
  });

  test('ends what a step leaves running, and has everything in the file once closed', async ({ openBox }) => {
    const box = await openBox(account);
    await box.ok('while :; do echo x >>/var/log/busy; done & echo kept >/etc/kept; sleep 0.1');
    // Once told, the holder collects what has ended: its own /proc shows it, what asks, and fuse2fs with its shell.
    const looks = { timeout: 5000, interval: 50 };
    await vi.waitFor(async () => {
      await box.ok('true');
      const { stdout: left } = await box.tool('sh', ['-c', 'cat /proc/[0-9]*/stat']);
      expect(left).not.toMatch(/\) Z /u);
    }, looks);
    await box.close();
    await run('e2fsck', ['-fn', box.image]);
    const { stdout } = await run('debugfs', ['-R', 'cat /etc/kept', box.image]);
    expect(stdout).toBe('kept\n');
    expect(await box.settled()).toEqual([]);
  });

  test('sees the binds it was given, read-only', async ({ openBox }) => {
    const box = await openBox(account);
    const file = join(box.directory, "it's a file, with 'quotes'");
    writeFileSync(file, 'from the host');
    mkdirSync(join(box.directory, 'tree'));
    writeFileSync(join(box.directory, 'tree/leaf'), 'leaf');
    const binds = [
      { source: file, target: '/run/banger/file' },
      { source: join(box.directory, 'tree'), target: '/run/banger/deep/tree' },
      { source: file, target: '/etc/hostname' },
      { source: file, target: '/var/log/new' },
      { source: join(box.directory, 'tree'), target: '/opt' },
    ];
    const said = await box.ok(
      'cat /run/banger/file /run/banger/deep/tree/leaf /etc/hostname /var/log/new /opt/leaf; ! echo x >/run/banger/file',
      { binds },
    );
    expect(said).toBe('from the hostleaffrom the hostfrom the hostleaf');
    expect(await box.ok('cat /etc/hostname; ls -d /opt /var/log/new 2>/dev/null || true')).toBe('little\n');
    const missing = await box.sh('true', { binds: [{ source: '/no/such', target: '/run/x' }] });
    expect(missing).toMatchObject({
      exitCode: 125,
      stderr: 'sandbox: /no/such: no such file or directory\n',
    });
    const nowhere = await box.sh('true', { binds: [{ source: file, target: '/no/such/place' }] });
    expect(nowhere.exitCode).toBe(125);
  });

  test('has the network of the host or none', async ({ openBox }) => {
    const host = await openBox(account, { env: { http_proxy: 'http://proxy:1' } });
    const interfaces = readFileSync('/proc/net/dev', 'utf8').trim().split('\n').length;
    expect((await host.ok('cat /proc/net/dev')).trim().split('\n')).toHaveLength(interfaces);
    const none = await openBox(account, { network: 'none', env: { http_proxy: 'http://proxy:1' } });
    const [, , ...devices] = (await none.ok('cat /proc/net/dev')).trim().split('\n');
    expect(devices.map((line) => line.trim().split(':')[0])).toEqual(['lo']);
    expect(await none.ok('env')).not.toContain('proxy');
  });

  test('runs tools of the host where the image is mounted', async ({ openBox }) => {
    const box = await openBox(account);
    const root = join(box.directory, 'mnt');
    expect((await box.tool('stat', ['-c', '%u:%g', join(root, 'bin/busybox')])).stdout).toBe('0:0\n');
    expect((await box.tool('pwd', [], root)).stdout).toBe(`${root}\n`);
    await box.tool('chown', ['1234:5678', join(root, 'etc/hostname')]);
    expect(await box.ok('stat -c %u:%g /etc/hostname')).toBe('1234:5678\n');
    await expect(box.tool('cat', ['/no/such'])).rejects.toMatchObject({
      code: 'tool_failed',
      message: expect.stringContaining('cat failed with status 1'),
    });
    await expect(box.tool('no-such-tool', [])).rejects.toMatchObject({
      message: expect.stringContaining('no-such-tool'),
    });
  });

  test('runs on all processors but when told', async ({ openBox }) => {
    const box = await openBox(account);
    const list = "sed -n 's/^Cpus_allowed_list:\\s*//p' /proc/[0-9]*/status";
    const outside = async (): Promise<string> => (await box.tool('sh', ['-c', list])).stdout;
    const before = await outside();
    const one = await box.ok(`busybox ${list}`, { processors: 'one' });
    if (account.uid !== 0) expect(one).toMatch(/^(?:\d+\n)+$/u);
    // Afterwards fuse2fs, which is there too, is where it was.
    expect(await outside()).toBe(before);
    expect(before).toContain((await box.ok(`busybox ${list}`)).split('\n')[0]);
  });

  test('takes any name for an image and its directory', async ({ openBox }) => {
    for (const name of [`-o ro,a 'quoted' "name"`, 'new\nline', 'back\\slash $(id) é']) {
      const box = await openBox(account, { name });
      expect(await box.ok('echo ok >/etc/ok; cat /etc/ok')).toBe('ok\n');
      await box.close();
      expect((await run('e2fsck', ['-fn', box.image])).exitCode).toBe(0);
    }
  });

  test('stops at once when it is aborted', async ({ openBox }) => {
    const box = await openBox(account);
    const step = expect(box.sh('sleep 60')).rejects.toMatchObject({ message: 'aborted by the test' });
    await box.abort();
    await step;
    await box.abandon();
    await box.abandon();
    await expect(box.sh('true')).rejects.toThrow();
    expect(await box.settled()).toEqual([]);
  });
});

describe.each(testAccounts())("the host's own files in a sandbox of $label", (account) => {
  const resolv = readFileSync('/etc/resolv.conf', 'utf8');
  const hosts = readFileSync('/etc/hosts', 'utf8');
  const guests: Record<string, Record<string, string>> = {
    'a guest without them': {},
    'a guest with its own': { 'etc/resolv.conf': 'nameserver 192.0.2.1\n', 'etc/hosts': '192.0.2.2 own\n' },
  };
  const links: Record<string, string> = {
    'a link into /run': '../run/systemd/resolve/stub-resolv.conf',
    'an absolute link into /run': '/run/NetworkManager/resolv.conf',
    'a link through a link': 'links/one',
    'a link to a file that is missing': '/var/log/resolv.conf',
    "a link out of the guest's tree": '../../../../../../var/log/../log/climbed',
    "a link at bubblewrap's own way to the host": `/oldroot${inject('testRun').directory}/made-by-a-link`,
    'a link in a ring': 'resolv.conf',
  };

  const look =
    'cat /etc/hosts /etc/resolv.conf; ! echo x >>/etc/resolv.conf; ls -l /usr/sbin/policy-rc.d; /usr/sbin/policy-rc.d; echo $?';

  test.for(Object.entries(guests))('%s', async ([name, files], { openBox }) => {
    const image = await makeRootfs(join(inject('testRun').directory, `${account.uid}-${name}.ext4`), {
      files,
    });
    const box = await openBox(account, { image });
    const before = await listing(box);
    const said = await box.ok(`${look} 2>/dev/null`);
    expect(said.startsWith(hosts + resolv)).toBe(true);
    expect(said).toMatch(/^-rwxr-xr-x .*policy-rc\.d\n101\n$/mu);
    expect(await listing(box)).toBe(before);
  });

  test('where the guest has a link', async ({ openBox }) => {
    const box = await openBox(account);
    await box.ok('mkdir -p /etc/links; ln -s ../links/two /etc/links/one; ln -s /run/x/y /etc/links/two');
    const path = join(box.directory, 'mnt/etc/resolv.conf');
    for (const [name, link] of Object.entries(links)) {
      await box.tool('ln', ['-sfn', link, path]);
      const before = await listing(box);
      const { stdout } = await box.sh('cat /etc/resolv.conf 2>/dev/null; true');
      const leadsNowhere = name.includes('ring') || name.includes('bubblewrap');
      expect({ name, stdout }).toEqual({ name, stdout: leadsNowhere ? '' : resolv });
      expect({ name, listing: await listing(box) }).toEqual({ name, listing: before });
    }
    await expect(run('ls', [join(inject('testRun').directory, 'made-by-a-link')])).rejects.toThrow();
    // For all users of the guest, apt's own among them.
    await box.tool('ln', ['-sfn', '../run/systemd/resolve/stub-resolv.conf', path]);
    const modes = await box.ok('stat -c %a /run/systemd /run/systemd/resolve');
    expect(modes).toBe('755\n755\n');
  });

  test('mount points that the guest lacks are gone after', async ({ openBox }) => {
    const box = await openBox(account);
    const root = join(box.directory, 'mnt');
    await box.tool(
      'rmdir',
      ['dev', 'proc', 'run', 'sys', 'tmp'].map((name) => join(root, name)),
    );
    expect(await box.ok('ls -d /dev /proc /run /tmp')).toBe('/dev\n/proc\n/run\n/tmp\n');
    const { stdout } = await box.tool('ls', [root]);
    expect(stdout.split('\n').filter((name) => ['dev', 'proc', 'run', 'tmp'].includes(name))).toEqual([]);
    await box.tool('ln', ['-s', 'etc', join(root, 'run')]);
    expect(await box.sh('true')).toMatchObject({
      exitCode: 125,
      stderr: 'sandbox: /run of the image is not a directory\n',
    });
  });
});
