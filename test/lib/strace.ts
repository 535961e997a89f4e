import { spawn } from 'node:child_process';
import type { Worker } from './worker.ts';

/**
 * Lets strace at a running worker: from now on its system calls go as `inject` says (strace(1), -e inject). It ends
 * with the worker.
 */
export async function attachStrace(
  worker: Worker,
  inject: string,
  more: readonly string[] = [],
): Promise<void> {
  const pid = String(await worker.nodePid());
  const calls = /^inject=([a-z0-9_,]+):/u.exec(inject)?.[1] ?? '';
  const args = ['-f', ...['-p', pid], ...['-e', `trace=${calls}`], ...['-e', inject], ...more];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    strace.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      // It names each thread once it is attached; node has had all of its threads for long.
      if (/attached with \d+ threads|Process \d+ attached\n(?!strace)/u.test(said)) resolve();
    });
    strace.on('error', reject).on('exit', () => reject(new Error(`strace could not attach: ${said}`)));
  });
}
