import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { say, work } from './protocol.ts';

/** A child that was told to die, and still writes for a while where it was. */
const [, , , directory = '', milliseconds = '0'] = process.argv;

await work(async () => {
  process.chdir(directory);
  const end = performance.now() + Number(milliseconds);
  for (let n = 0; performance.now() < end; n += 1) {
    try {
      writeFileSync(join('.', `file-${n}`), 'x');
    } catch {
      // The directory is gone.
      break;
    }
    if (n === 10) say('writing');
    await setImmediate();
  }
});
