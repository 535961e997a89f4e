import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject } from 'vitest';
import { test } from '../../support/box.ts';
import { testAccounts } from '../../support/cli.ts';

const MARKER = 'a-process-of-the-host';
let victim: ChildProcess;

beforeAll(() => {
  victim = spawn('sh', ['-c', 'while :; do sleep 1000; done', MARKER], { stdio: 'ignore', detached: true });
});
afterAll(() => {
  if (victim.pid !== undefined) process.kill(-victim.pid, 'SIGKILL');
});

/** Tries each line as a command of its own; returns those that succeeded. */
function tries(commands: string): string {
  const lines = commands.trim().split('\n');
  return lines
    .map((line) => `(${line.trim()}) >/dev/null 2>&1 && echo ${JSON.stringify(line.trim())}`)
    .join('\n');
}

// What a step may do must be tried where an error of ours does no harm: nothing here writes, reboots or kills if it works.
describe.each(testAccounts())('a step of $label', (account) => {
  test('cannot mount, nor make a namespace in which it could', async ({ openBox }) => {
    const box = await openBox(account);
    const { stdout } = await box.sh(
      tries(`
        mount -t tmpfs none /mnt
        mount -t tmpfs none /tmp
        mount -t proc none /proc
        mount -o bind / /tmp
        mount -o remount,rw,bind /proc/sys
        mount -o remount,dev /
        umount /proc/sys
        umount -l /tmp
        busybox unshare -m true
        busybox unshare -U true
        busybox unshare -Ur true
        busybox unshare -n true
        busybox nsenter -t 1 -m true
        busybox pivot_root /tmp /tmp
        busybox insmod /bin/busybox
        busybox swapon /bin/busybox
        busybox sysctl -w vm.swappiness="$(cat /proc/sys/vm/swappiness)"
        : >>/proc/sysrq-trigger
      `),
    );
    expect(stdout).toBe('');
  });

  test('cannot write to anything in /proc but its processes', async ({ openBox }) => {
    const box = await openBox(account);
    const open = `find /proc -path '/proc/[0-9]*' -prune -o -path /proc/self -prune -o -path /proc/thread-self -prune -o \\
      -type f -perm -200 -print | while read -r file; do (: >>"$file") 2>/dev/null && echo "$file"; done`;
    expect(await box.ok(`${open}; true`)).toBe('');
    expect(await box.ok('find /proc/sys -type f -perm -200 | busybox wc -l')).not.toBe('0\n');
  });

  test('cannot open a device but the harmless ones', async ({ openBox }) => {
    const box = await openBox(account);
    const nodes = await box.sh(
      'mknod /dev/disk b 7 0; mknod /etc/disk b 7 0; mknod /tmp/kmem c 1 2; ls /dev',
    );
    expect(nodes.stdout.trim().split('\n')).toEqual(
      'core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' '),
    );
    expect(nodes.stderr.match(/Operation not permitted/gu)).toHaveLength(3);
    if (account.uid !== 0) return;
    // One that the image has already: every mount of a step is nodev.
    for (const [name, ...numbers] of [
      ['disk', 'b', '7', '0'],
      ['zero', 'c', '1', '5'],
    ]) {
      await box.tool('mknod', [join(box.directory, 'mnt', name ?? ''), ...numbers]);
    }
    const opened = await box.sh('for node in /disk /zero; do busybox head -c 1 $node && echo opened; done');
    expect(opened.stdout).toBe('');
    expect(opened.stderr.match(/Permission denied/gu)).toHaveLength(2);
  });

  test('cannot see or signal a process of the host, nor its files', async ({ openBox }) => {
    const box = await openBox(account);
    writeFileSync(join(inject('testRun').directory, 'secret'), 'of the host');
    const seen = await box.ok(
      "for p in /proc/[0-9]*; do busybox tr '\\0' ' ' <$p/cmdline; echo; done; ls -d /proc/[0-9]*",
    );
    expect(seen).not.toContain(MARKER);
    expect(seen.match(/^\/proc\/\d+$/gmu)?.length).toBeLessThan(6);
    expect(await box.ok('ls /proc/1/root /proc/1/cwd/ >/dev/null; ls /')).toBe(
      await box.ok('ls /proc/1/root/'),
    );
    const { stdout } = await box.sh(
      tries(`ls ${inject('testRun').directory}\nbusybox dd if=/proc/kcore of=/dev/null bs=1 count=1`),
    );
    expect(stdout).toBe('');
    // Everything that it can signal, and that is only itself.
    await box.sh('kill -9 -1');
    expect(victim.exitCode ?? victim.signalCode).toBeNull();
    expect(await box.ok('echo alive')).toBe('alive\n');
  });

  test('has the capabilities of a container and no way to more', async ({ openBox }) => {
    const box = await openBox(account);
    const status = await box.ok('cat /proc/self/status');
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:\\s+(\\S+)`, 'mu').exec(status)?.[1];
    // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, sys_chroot, audit_write, setfcap
    const container = 0xa00405fbn;
    expect(BigInt(`0x${field('CapEff')}`) & ~container).toBe(0n);
    expect(BigInt(`0x${field('CapPrm')}`)).toBe(BigInt(`0x${field('CapEff')}`));
    expect({ nnp: field('NoNewPrivs'), seccomp: field('Seccomp') }).toEqual({ nnp: '1', seccomp: '2' });
    expect(await box.ok('readlink /proc/self/ns/pid')).not.toBe(await box.ok('readlink /proc/self/ns/mnt'));
  });

  test('is told what it ran into', async ({ openBox }) => {
    const box = await openBox(account);
    await box.sh(
      'mknod /etc/x c 1 3; mknod /etc/y c 1 3; mount -t tmpfs none /tmp; touch /etc/z; chown 70000 /etc/z; umask 002',
    );
    const notes = [
      'note: in a build filesystems cannot be mounted',
      'note: in a build block and character devices cannot be made',
      'note: when an ordinary user builds user and group ids above 65535 cannot be used; as root it works',
      'note: when an ordinary user builds a directory that is made with a umask more open than 022 comes out as with 022, and wants a chmod; as root it works',
    ];
    expect(box.notes.toSorted()).toEqual((account.uid === 0 ? notes.slice(0, 2) : notes).toSorted());
  });
});
