import { open, say, until, work } from './protocol.ts';

const [, , stateDir = '', timeoutMs = '10000', command = 'banger image build holder'] = process.argv;

await work(async () => {
  const cancelled = new AbortController();
  process.on('SIGTERM', () => cancelled.abort(new Error('asked to stop')));
  const workspace = await open(stateDir, {
    timeoutMs: Number(timeoutMs),
    command,
    signal: cancelled.signal,
  });
  try {
    say('open');
    const lock = await workspace.lock();
    say('held');
    await until('release');
    await lock.release();
    say('released');
    await until('end');
  } finally {
    workspace.close();
  }
});
