import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { REPOSITORY } from '../support/program.ts';

test('a reader that is slow gets all of it, where the pipe itself does not wait', async () => {
  const module = join(REPOSITORY, 'src/lib/output.ts');
  // libuv makes the pipe one that does not wait as soon as Node has its stream.
  const script = `void process.stdout; const { print } = await import(${JSON.stringify(module)}); print('x'.repeat(1e6) + 'end');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  await sleep(300);
  let read = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    read += text;
  });
  expect((await closed)[0]).toBe(0);
  expect(read.length).toBe(1e6 + 3);
  expect(read.endsWith('xend')).toBe(true);
});
