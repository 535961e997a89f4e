import { open, work } from './protocol.ts';

const [, , stateDir = ''] = process.argv;

/** The least that a command which takes the lock does. */
await work(async () => {
  const workspace = await open(stateDir, { command: 'banger image rename a b' });
  try {
    await workspace.locked(() => {});
  } finally {
    workspace.close();
  }
});
