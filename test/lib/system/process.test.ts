import { describe, expect, test } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';

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
