// Runs jobs, one after the other, until it is stopped.

import { setTimeout as sleep } from 'node:timers/promises';
import { runJob, takeJob } from './jobs.mjs';

const LOOK_AGAIN_MS = 1000;

const root = process.env.RUNNER_DIRECTORY ?? '/var/lib/runner';
for (;;) {
  const name = await takeJob(root);
  if (name === null) {
    await sleep(LOOK_AGAIN_MS);
    continue;
  }
  const { status } = await runJob(root, name);
  console.log(`${name}: status ${status}`);
}
