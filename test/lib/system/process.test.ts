import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
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

  test('keeps its newest 4 MiB', async () => {
    const { stdout } = await run('sh', ['-c', 'head -c 9000000 /dev/zero | tr "\\0" x; echo end']);
    expect(stdout.endsWith('xend\n')).toBe(true);
    expect(stdout.length).toBeLessThanOrEqual(4 * 1024 * 1024 + 65_536);
  });
});
