import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from 'vitest';
import { Home } from './cli.ts';
import type { Account } from './test-user.ts';

export interface DebianBase {
  /** Where it is a managed image named `debian-base`. Look, and change nothing: all test files share it. */
  home: Home;
  /** Paths, as `image show --json` gives them. */
  image: {
    id: string;
    artifact_dir: string;
    rootfs_path: string;
    kernel_path: string;
    initrd_path: string | null;
    modules_dir: string | null;
    work_seed_path: string | null;
  };
}

const BOOTSTRAP_MS = 400_000;

/**
 * A Debian that the account bootstrapped, made by whichever test file wants it first and shared by all of one run.
 * A test that may be that first wants a timeout of `DEBIAN_TIMEOUT_MS`.
 */
export async function debianBase(account: Account): Promise<DebianBase> {
  const directory = join(inject('testRun').directory, `debian-${account.uid}`);
  const outcome = `${directory}.outcome`;
  const home = Home.at(directory, account);
  if (await isFirst(directory)) {
    await chown(directory, account.uid, account.gid);
    const made = await home.run(['image', 'bootstrap', 'debian-base'], { timeoutMs: BOOTSTRAP_MS });
    await writeFile(outcome, JSON.stringify(made));
  }
  const { status, stdout, stderr } = await readWhenThere(outcome);
  if (status !== 0)
    throw new Error(`banger image bootstrap debian-base: exit ${status}\n${stdout}\n${stderr}`);
  const { document } = await home.json<DebianBase['image']>(['image', 'show', 'debian-base']);
  return { home, image: document };
}

export const DEBIAN_TIMEOUT_MS = BOOTSTRAP_MS + 60_000;

/** Registers the shared Debian as `debian-base` in a home of the same account. */
export async function registerDebian(home: Home): Promise<void> {
  const { image } = await debianBase(home.account);
  const flags = [
    ...['--rootfs', image.rootfs_path],
    ...['--kernel', image.kernel_path],
    ...(image.initrd_path === null ? [] : ['--initrd', image.initrd_path]),
    ...(image.modules_dir === null ? [] : ['--modules', image.modules_dir]),
  ];
  await home.ok(['image', 'register', 'debian-base', ...flags]);
}

/** mkdir(2) succeeds once, whatever process asks. */
async function isFirst(directory: string): Promise<boolean> {
  try {
    await mkdir(directory, { mode: 0o755 });
    return true;
  } catch {
    return false;
  }
}

async function readWhenThere(path: string): Promise<{ status: number; stdout: string; stderr: string }> {
  const deadline = Date.now() + BOOTSTRAP_MS;
  while (Date.now() < deadline) {
    try {
      return JSON.parse(await readFile(path, 'utf8'));
    } catch {
      // Not made yet, or not written in full.
      await sleep(200);
    }
  }
  throw new Error(`${path} did not come`);
}
