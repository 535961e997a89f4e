import { existsSync } from 'node:fs';
import { describe, expect } from 'vitest';
import {
  build,
  buildArguments,
  type Failure,
  failToBuild,
  journalOf,
  keepNoSteps,
  makeBase,
  until,
  untilPrinted,
  untilStage,
} from '../support/builds.ts';
import { type CliOptions, type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { descendantsOf } from '../support/processes.ts';
import { inspectKernel } from '../support/verifier-kernel.ts';

/** A way to stop a build in a stage. */
interface Stop {
  stage: string;
  steps?: readonly string[];
  options?: CliOptions;
  /** Waits until it stands still. */
  reached: (home: Home, name: string) => Promise<void>;
  /** What the next command makes of it (default: it is undone). */
  outcome?: 'interrupted' | 'succeeded';
}

const HOUR_MICROSECONDS = 3_600_000_000;

/** Stops a tool where a condition holds of its arguments, and no other. */
async function stopTool(
  home: Home,
  stage: string,
  tool: string,
  condition = 'true',
): Promise<Pick<Stop, 'options' | 'reached'>> {
  const marker = `${home.directory}/${stage}-stands`;
  const script = `#!/bin/sh
if ${condition}; then echo >${marker}; exec sleep 3600; fi
exec "$(PATH=/usr/bin:/bin:/usr/sbin:/sbin command -v ${tool})" "$@"
`;
  await home.write(`stop-${stage}/${tool}`, script, 0o755);
  return {
    options: { env: { PATH: `${home.directory}/stop-${stage}:/usr/bin:/bin` } },
    reached: () => until(tool, () => existsSync(marker)),
  };
}

/** Stops a system call of the program's main thread, before or after it is made (strace(1)). */
function stopCall(call: string, where: 'delay_enter' | 'delay_exit', when = 1): CliOptions {
  const inject = `inject=${call}:${where}=${HOUR_MICROSECONDS}:when=${when}`;
  return { under: ['strace', ...['-o', '/dev/null'], ...['-e', `trace=${call}`], ...['-e', inject]] };
}

async function stopsOf(home: Home): Promise<Stop[]> {
  const script = await home.write('script', 'true');
  const artifactsOf = async (name: string): Promise<string> => {
    const { log_path: log } = await journalOf(home, name);
    return log.replace('/image-build/', '/images/').replace(/\.log$/u, '');
  };
  return [
    {
      stage: 'resolve_image',
      steps: ['--script', script],
      options: {
        under: [
          'strace',
          '-f',
          ...['-o', '/dev/null'],
          ...['-P', script],
          ...['-e', 'trace=access'],
          ...['-e', `inject=access:delay_enter=${HOUR_MICROSECONDS}`],
        ],
      },
      reached: (_, name) => untilStage(home, name, 'resolve_image'),
    },
    {
      stage: 'launch_builder',
      steps: ['--run', 'echo "in $((1+1)) steps"; (busybox setsid sleep 3600 &); sleep 3600'],
      reached: () => untilPrinted(home, 'in 2 steps'),
    },
    { stage: 'prepare_work_seed', ...(await stopTool(home, 'prepare_work_seed', 'mke2fs')) },
    { stage: 'seed_ssh', ...(await stopTool(home, 'seed_ssh', 'debugfs', 'grep -q authorized_keys "$3"')) },
    {
      stage: 'write_metadata',
      ...(await stopTool(home, 'write_metadata', 'e2fsck', '[ "$4" = discard ]')),
      reached: (_, name) => untilStage(home, name, 'write_metadata'),
    },
    {
      stage: 'activate_artifacts',
      options: stopCall('rename', 'delay_enter'),
      reached: (_, name) => untilStage(home, name, 'activate_artifacts'),
    },
    {
      stage: 'activate_artifacts',
      options: stopCall('rename', 'delay_exit'),
      reached: async (_, name) => {
        await untilStage(home, name, 'activate_artifacts');
        const artifacts = await artifactsOf(name);
        await until('the rename', () => existsSync(artifacts));
      },
    },
    {
      stage: 'persisted',
      // The lock is let go of for the second time.
      options: stopCall('rmdir', 'delay_enter', 2),
      reached: (_, name) => untilStage(home, name, 'persisted'),
      outcome: 'succeeded',
    },
  ];
}

describe.each(testAccounts())('as $label', (account) => {
  test('a build that is killed in any of its stages leaves nothing, and the next command cleans up', {
    timeout: 120_000,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await keepNoSteps(home);
    const { rootfs, kernel } = await makeBase(home);
    await home.ok(['image', 'register', 'spare-0', ...['--rootfs', rootfs], ...['--kernel', kernel]]);
    for (const [index, stop] of (await stopsOf(home)).entries()) {
      const name = `killed-${index}`;
      const running = home.start(buildArguments(name, ...(stop.steps ?? [])), stop.options);
      await stop.reached(home, name);
      const { stage, pid } = await journalOf(home, name);
      expect([index, stage]).toEqual([index, stop.stage]);
      // Itself, or with its process group; strace may wait for ever for a thread that was killed in a delay.
      const alone = (index + account.uid) % 2 === 0;
      if (alone) process.kill(pid, 'SIGKILL');
      if (!alone || stop.options?.under) process.kill(-running.pid, 'SIGKILL');
      await running.result;
      await until(`nothing left of ${name}`, () => inspectKernel(home.stateDir).length === 0);

      // Any command that changes something.
      await home.ok(['image', 'rename', `spare-${index}`, `spare-${index + 1}`]);
      expect([index, (await journalOf(home, name)).state]).toEqual([index, stop.outcome ?? 'interrupted']);
      await home.verify();
    }
    const names = (await home.ok(['image', 'list', '--quiet'])).trim().split('\n').sort();
    expect(names).toEqual(['base', 'killed-7', 'spare-8']);
    await build(home, 'killed-0');
  });

  test('a build whose sandbox is killed fails, and leaves nothing', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const names = ['unshare', 'sh', 'nsenter', 'bash', 'bwrap', ...(account.uid === 0 ? [] : ['fuse2fs'])];
    for (const victim of names) {
      const step = ['--run', `echo "${victim} $((6*7))"; sleep 3600`];
      const args = [...buildArguments(`without-${victim}`, ...step), '--json'];
      const running = home.start(args, { timeoutMs: 30_000 });
      await untilPrinted(home, `${victim} 42`);
      const programs = descendantsOf(running.pid);
      const found = programs.find(({ name }) => name === victim);
      expect(found, `${victim} in ${programs.map(({ name }) => name).join(' ')}`).toBeDefined();
      if (found) process.kill(found.pid, 'SIGKILL');
      const { status, stdout } = await running.result;
      const { error } = JSON.parse(stdout) as Failure;
      expect([victim, status, error.log_path]).toEqual([
        victim,
        expect.toBeOneOf([8, 9]),
        expect.any(String),
      ]);
      expect(error.message).toMatch(/status 137|was unmounted under it/u);
      await until(`nothing left of ${victim}`, () => inspectKernel(home.stateDir).length === 0);
      await home.verify();
    }
    expect(await failToBuild(home, 'fails', ['--run', 'false'])).toMatchObject({ exit_code: 8 });
  });
});
