import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../src/lib/system/process.ts';
import type { Home } from './cli.ts';

const TOOLS = 'tools';
const PATH = '/usr/local/bin:/usr/bin:/bin';
const WAIT_MS = 30_000;

/** The environment in which a home's own tools come before the system's. */
export function withTools(home: Home): { PATH: string } {
  return { PATH: `${join(home.directory, TOOLS)}:${PATH}` };
}

/** Puts a shell script in the place of a tool; `$REAL` is the tool itself. */
export async function replaceTool(home: Home, name: string, script: string): Promise<void> {
  const { stdout } = await run('sh', ['-c', 'command -v "$0"', name], {
    env: { PATH: `${PATH}:/usr/sbin:/sbin` },
  });
  await home.write(join(TOOLS, name), `#!/bin/sh\nREAL=${stdout.trim()}\n${script}\n`, 0o755);
}

export interface HeldTool {
  env: { PATH: string };
  /** Waits until something has called it. */
  called(): Promise<void>;
  /** Lets the tool do its work, now and from now on. */
  release(): Promise<void>;
}

/** Holds a tool back when it is called: its caller is in the middle of a stage for as long as a test wants. */
export async function holdTool(home: Home, name: string, { stubborn = false } = {}): Promise<HeldTool> {
  const called = join(home.directory, TOOLS, `${name}.called`);
  const go = join(home.directory, TOOLS, `${name}.go`);
  const trap = stubborn ? "trap '' HUP INT TERM" : ':';
  const wait = `until [ -e ${go} ]; do sleep 0.02; done`;
  await replaceTool(home, name, `${trap}\n: >${called}\n${wait}\nexec $REAL "$@"`);
  return {
    env: withTools(home),
    async called() {
      const deadline = Date.now() + WAIT_MS;
      while (!existsSync(called)) {
        if (Date.now() > deadline) throw new Error(`nobody called ${name}`);
        await sleep(10);
      }
    },
    async release() {
      await home.write(join(TOOLS, `${name}.go`), '');
    },
  };
}
