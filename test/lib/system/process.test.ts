import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { run, start } from '../../../src/lib/system/process.ts';
import { until } from '../../support/builds.ts';

test('a cancel ends what a tool has started itself', async () => {
  const cancel = new AbortController();
  let child = '';
  const running = run('sh', ['-c', 'sleep 3600 & echo $!; wait; exit 3'], {
    signal: cancel.signal,
    onLine: (line) => {
      child = line;
      cancel.abort(new Error('cancelled'));
    },
  });
  await expect(running).rejects.toThrow('cancelled');
  const isGone = (): boolean => {
    try {
      // Nobody need have waited for it yet.
      return /^State:\s+Z/mu.test(readFileSync(`/proc/${child}/status`, 'utf8'));
    } catch {
      return true;
    }
  };
  expect(child).toMatch(/^\d+$/u);
  await until('the child to end', isGone);
});

describe('the output of a tool', () => {
  test('is read whole where a character comes in two pieces', async () => {
    const halves = "printf 'F\\305'; sleep 0.05; printf '\\221tan\\303'; sleep 0.05; printf '\\272s'";
    const { stdout, stderr } = await run('sh', ['-c', `${halves}; { ${halves}; } >&2`]);
    expect({ stdout, stderr }).toEqual({ stdout: 'Főtanús', stderr: 'Főtanús' });
  });

  test('is read as it comes, and holds back a tool that writes faster', async () => {
    const running = await start('sh', ['-c', 'head -c 50000000 /dev/zero; echo done >&2'], {
      stdout: 'stream',
    });
    let isDone = false;
    void running.exited.then(() => {
      isDone = true;
    });
    await sleep(300);
    expect(isDone).toBe(false);
    let bytes = 0;
    for await (const chunk of running.stdout ?? []) bytes += chunk.length;
    expect([bytes, (await running.exited).stderr]).toEqual([50_000_000, 'done\n']);
  });

  test('need not be read to its end', async () => {
    const running = await start('yes', [], { stdout: 'stream' });
    for await (const chunk of running.stdout ?? []) {
      if (chunk.length > 0) break;
    }
    running.kill('SIGKILL');
    expect((await running.exited).exitCode).toBe(137);
  });

  test('keeps its newest 4 MiB', async () => {
    const { stdout } = await run('sh', ['-c', 'head -c 9000000 /dev/zero | tr "\\0" x; echo end']);
    expect(stdout.endsWith('xend\n')).toBe(true);
    expect(stdout.length).toBeLessThanOrEqual(4 * 1024 * 1024 + 65_536);
  });
});
