import { readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { bootstrapBootable } from '../support/bootable.ts';
import { type Failure, journalOf, untilPrinted } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { replaceTool, withTools } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { inspectKernel } from '../support/verifier-kernel.ts';

/** Emulated, on a machine that has other tests to run. */
const BOOT_MS = 90_000;
// Whether this machine's KVM works or hangs its guests nobody knows.
const TCG = ['--accel', 'tcg'];
const VM = ['--builder', 'vm', ...TCG];

interface Built {
  steps: { title: string; cached: boolean }[];
}
interface Difference {
  files: { added: unknown[]; removed: unknown[]; changed: unknown[] };
}

/** Of all kinds of steps and mounts, and of what they leave: owners, modes, links, times, places made for mounts. */
const RECIPE = `FROM tiny AS one
RUN mkdir -p /d && echo one >/d/x && chown 1000:1000 /d/x && chmod 4755 /d/x && ln /d/x /d/y && ln -s x /d/z
FROM tiny
COPY . /ctx/
COPY --from=one --chown=5:6 /d /d
COPY --chmod=600 a /x/y/z
ADD t.tar.xz /t
WORKDIR /w/v
ENV A=b
RUN pwd; env | sort; echo "$A" >f; umask; cat /etc/hostname /proc/sys/kernel/hostname; ls /run /usr/sbin/policy-rc.d
RUN --mount=type=secret,id=s wc -c </run/secrets/s >/count; cat /run/secrets/s
RUN --mount=type=secret,id=s,target=/made/deep/s,uid=7,mode=0440 ls -ln /made/deep/s | cut -d' ' -f1
RUN --mount=type=cache,target=/cache cat /cache/c; echo "$A" >/cache/c
RUN --mount=type=cache,target=/cache grep -c b /cache/c
RUN --mount=type=bind,source=sub,target=/bound cat /bound/b; touch /bound/c 2>/dev/null || echo refused
RUN --mount=type=bind,source=.,target=/bound,rw touch /bound/c && ls /bound
RUN --mount=type=bind,from=one,source=/d,target=/bound ls -ln /bound | wc -l
RUN --mount=type=tmpfs,target=/tm touch /tm/x; ls -d /tm
RUN --network=none ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev
RUN <<EOF
echo a document
EOF
USER 1000:1000
RUN id; touch /tmp/left; ls -ld /tmp/left | cut -d' ' -f1; cat <&- 2>/dev/null || echo closed
USER root
RUN echo to-stderr >/dev/stderr
RUN ls /tmp; (exit 147); echo $?; sh -c 'kill -9 $$' 2>/dev/null; echo $?
RUN (sleep 1000 &) ; echo left behind
RUN ["/bin/busybox", "echo", "no shell"]
`;

async function writeContext(home: Home): Promise<string> {
  await home.write('context/Containerfile', RECIPE);
  await home.write('context/a', 'a\n');
  await home.write('context/sub/b', 'b\n', 0o755);
  await home.write('secret', 'hidden\n');
  const context = join(home.directory, 'context');
  symlinkSync('a', join(context, 'link'));
  await run('tar', ['-cJf', join(context, 't.tar.xz'), '-C', context, 'a', 'sub']);
  return context;
}

/** What a build's log says of its steps, whenever and however long. */
async function saidIn(home: Home, name: string): Promise<string[]> {
  const { log_path: path } = await journalOf(home, name);
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.replace(/^\S+ /u, '').replace(/ after .*$/u, ''));
  const first = lines.findIndex((line) => /^(?:\[|step )/u.test(line));
  return lines.slice(first);
}

const nothingIsLeft = async (home: Home): Promise<void> => {
  for (let looks = 0; inspectKernel(home.stateDir).length > 0; looks += 1) {
    expect(looks, inspectKernel(home.stateDir).join('\n')).toBeLessThan(100);
    await sleep(100);
  }
};

describe.each(testAccounts())('as $label', (account) => {
  test('the same recipe comes out the same in a sandbox and in a machine, with the same log', {
    timeout: 6 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const context = await writeContext(home);
    const flags = ['--file', join(context, 'Containerfile'), '--secret', `id=s,src=${home.directory}/secret`];
    const build = (name: string, ...more: string[]) =>
      home.json<Built>(['image', 'build', name, context, ...flags, ...TCG, ...more], {
        timeoutMs: 4 * BOOT_MS,
      });
    await home.ok(['image', 'build', 'seen', context, ...flags]);
    const sandbox = await build('by-sandbox', '--no-cache', '--builder', 'sandbox');
    const machine = await build('by-machine', '--no-cache', '--builder', 'vm');
    expect([sandbox.status, machine.status]).toEqual([0, 0]);
    const { document } = await home.json<Difference>(['image', 'diff', 'by-sandbox', 'by-machine']);
    expect(document.files).toMatchObject({ added: [], removed: [], changed: [] });
    const [expected, said] = [await saidIn(home, 'by-sandbox'), await saidIn(home, 'by-machine')];
    expect(expected.length).toBeGreaterThan(50);
    expect(said).toEqual(expected);
    // What one did the other need not do.
    const again = await build('again', '--builder', 'sandbox');
    expect(again.document.steps.every(({ cached }) => cached)).toBe(true);
    expect(await home.ok(['check', '--deep'])).toContain('nothing is wrong');
    await nothingIsLeft(home);
  });

  test('steps do what no sandbox lets them do', { timeout: 3 * BOOT_MS }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const steps = [
      'mknod /node c 1 3 && ls -l /node | cut -c1',
      'mkdir /m && mount -t tmpfs none /m && touch /m/x && umount /m && ls /m | wc -l',
      'chown 70000:70001 /node && stat -c %u:%g /node; uname -r',
      'ls -l /sys 2>/dev/null | wc -l; unshare -U true && echo namespaces',
    ];
    const build = ['image', 'build', 'made', '--from-image', 'tiny', '--network', 'none', ...VM];
    await home.ok([...build, ...steps.flatMap((step) => ['--run', step])], { timeoutMs: 2 * BOOT_MS });
    const said = (await saidIn(home, 'made')).join('\n');
    for (const line of [/^ {2}c$/mu, /^ {2}0$/mu, /^ {2}70000:70001$/mu, /^ {2}namespaces$/mu]) {
      expect(said).toMatch(line);
    }
    expect(said).toMatch(/^ {2}6\.\S+-amd64$/mu);
    await nothingIsLeft(home);
  });

  test('a step that fails, and a guest that dies, end the build and leave nothing but the log', {
    timeout: 6 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const before = readdirSync(join(home.stateDir, 'images'));
    const fail = async (step: string, ...more: string[]) => {
      const build = ['image', 'build', 'made', '--from-image', 'tiny', ...VM, '--run', step, ...more];
      const { document } = await home.json<Failure>(build, { timeoutMs: 2 * BOOT_MS });
      expect(readdirSync(join(home.stateDir, 'images'))).toEqual(before);
      await nothingIsLeft(home);
      return document.error;
    };
    const failed = await fail('echo out; echo err >&2; exit 3');
    expect(failed).toMatchObject({ exit_code: 8, status: 3, output: ['out', 'err'] });
    const died = await fail('echo c >/proc/sysrq-trigger; sleep 60');
    expect(died).toMatchObject({ exit_code: 9, message: expect.stringContaining('ended') });
    expect(died.message).toMatch(/Kernel panic .*sysrq triggered crash$/mu);
    const lacking = await fail('true', '--kernel', await home.write('no-kernel', Buffer.alloc(64 * 1024)));
    expect(lacking.exit_code).toBe(6);
  });

  test('killed in the middle of a step, it leaves no process, and the next command cleans up', {
    timeout: 4 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    const before = readdirSync(join(home.stateDir, 'images'));
    for (const [signal, status] of [
      ['SIGKILL', 137],
      ['SIGINT', 130],
    ] as const) {
      const steps = ['--run', `echo "in ${signal.toLowerCase()}"; sleep 3600`];
      const running = home.start(['image', 'build', 'made', '--from-image', 'tiny', ...VM, ...steps]);
      await untilPrinted(home, `in ${signal.toLowerCase()}`);
      running.kill(signal);
      expect((await running.result).status).toBe(status);
      await nothingIsLeft(home);
      await home.ok(['image', 'rename', 'tiny', 'small']);
      await home.ok(['image', 'rename', 'small', 'tiny']);
      expect(readdirSync(join(home.stateDir, 'images'))).toEqual(before);
    }
  });

  test('where no namespaces can be made a build takes a machine, and says why; so does doctor', {
    timeout: 4 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'tiny');
    expect(await home.ok(['doctor'])).toMatch(/^ok +builder +the sandbox/mu);
    await replaceTool(home, 'unshare', 'echo "unshare: unshare failed: Operation not permitted" >&2; exit 1');
    const options = { env: withTools(home), timeoutMs: 2 * BOOT_MS };
    // The sandbox is what builds are fast in: that it is missing stays a fault.
    const { stdout: doctor, status: unwell } = await home.run(['doctor'], options);
    expect(unwell).toBe(6);
    expect(doctor).toMatch(
      /^ok +builder +the virtual machine: no sandbox here: .*Operation not permitted$/mu,
    );
    expect(doctor).toMatch(/^fail +(?:user )?namespaces/mu);
    const context = await home.write(
      'context/Containerfile',
      'FROM tiny\nRUN --mount=type=cache,target=/cache touch /cache/c && chown 5:6 /cache/c && echo hi >/hi\n' +
        'COPY --chown=7:8 Containerfile /there\nRUN --mount=type=cache,target=/cache ls /cache\n',
    );
    const recipe = ['--file', context, dirname(context)];
    const flags = ['--network', 'none', ...TCG];
    const { stderr, status } = await home.run(['image', 'build', 'made', ...recipe, ...flags], options);
    expect(status, stderr).toBe(0);
    expect(stderr).toContain('steps run in a virtual machine (no sandbox here: ');
    expect(await saidIn(home, 'made')).toContain('  c');
    const said = await home.fails(
      6,
      ['image', 'build', 'other', ...recipe, ...flags, '--builder', 'sandbox', '--no-cache'],
      options,
    );
    expect(said).toContain('Operation not permitted');
    await nothingIsLeft(home);
  });
});
