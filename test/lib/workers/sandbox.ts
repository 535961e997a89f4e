import { createInterface } from 'node:readline';
import type { Sandbox, StepOptions } from '../../../src/lib/system/sandbox.ts';

/** Opens a sandbox and does what it is told, a line of JSON each; answers in the same way. Wants nothing but node. */

export type Call =
  | { call: 'run'; argv: string[]; options: Omit<StepOptions, 'onLine'> }
  | { call: 'tool'; file: string; args: string[]; cwd?: string }
  | { call: 'abort' | 'close' | 'abandon' };

const [module = '', image = '', mountpoint = '', network = ''] = process.argv.slice(2);
const { openSandbox } = (await import(module)) as typeof import('../../../src/lib/system/sandbox.ts');
const abort = new AbortController();
const say = (message: unknown): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

async function answer(id: number, work: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  try {
    say({ id, value: (await work()) ?? null, durationMs: performance.now() - startedAt });
  } catch (error) {
    const { message, code, hints } = error as Error & { code?: string; hints?: string[] };
    say({ id, error: { message, code, hints } });
  }
}

let sandbox: Sandbox | undefined;
await answer(0, async () => {
  sandbox = await openSandbox({
    image,
    mountpoint,
    network: network === 'none' ? 'none' : 'host',
    signal: abort.signal,
    onLine: (note) => say({ note }),
  });
});

async function obey(call: Call): Promise<unknown> {
  if (sandbox === undefined) throw new Error('no sandbox');
  switch (call.call) {
    case 'run':
      return sandbox.run(call.argv, { ...call.options, onLine: (line, stream) => say({ line, stream }) });
    case 'tool':
      return sandbox.runTool(call.file, call.args, call.cwd === undefined ? {} : { cwd: call.cwd });
    case 'abort':
      return abort.abort(new Error('aborted by the test'));
    case 'close':
      return sandbox.close();
    case 'abandon':
      return sandbox.abandon();
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, ...call } = JSON.parse(line) as Call & { id: number };
    void answer(id, () => obey(call as Call));
  })
  .on('close', () => process.exit());
