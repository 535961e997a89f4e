// A job is a file in queue/, `{"repository": …, "ref": …, "command": …}`; it moves to running/, and becomes a log and a
// result in done/.

import { spawn } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Moves the job whose name is first to running/. Null when none waits, or another runner was quicker. */
export async function takeJob(root) {
  const names = await readdir(join(root, 'queue'));
  const [first] = names.filter((name) => name.endsWith('.json')).sort();
  if (first === undefined) return null;
  try {
    await rename(join(root, 'queue', first), join(root, 'running', first));
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
  return first.slice(0, -'.json'.length);
}

/** Runs a job in a clone of its repository, which is thrown away. Whatever fails is the job's status. */
export async function runJob(root, name) {
  const taken = join(root, 'running', `${name}.json`);
  const work = await mkdtemp(join(tmpdir(), 'job-'));
  const log = await open(join(root, 'done', `${name}.log`), 'w');
  let status = 1;
  try {
    const { repository, ref, command } = JSON.parse(await readFile(taken, 'utf8'));
    const checkout = join(work, 'checkout');
    status = await logged(log, work, [
      'git',
      'clone',
      '--quiet',
      ...['--depth', '1'],
      ...['--branch', ref],
      '--',
      repository,
      checkout,
    ]);
    if (status === 0) status = await logged(log, checkout, ['/bin/sh', '-c', command]);
  } catch (error) {
    await log.write(`${error.message}\n`);
  } finally {
    await log.close();
    await rm(work, { recursive: true, force: true });
  }
  const result = { name, status, finished_at: new Date().toISOString() };
  await writeFile(join(root, 'done', `${name}.json`), `${JSON.stringify(result)}\n`);
  await rm(taken);
  return result;
}

/** Runs a command whose output goes to the log; returns its status, 128 where a signal ended it. */
function logged(log, cwd, [file, ...args]) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, stdio: ['ignore', log.fd, log.fd] });
    child.on('error', reject).on('close', (code) => resolve(code ?? 128));
  });
}
