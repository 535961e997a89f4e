import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runJob, takeJob } from './jobs.mjs';

/** A runner's directory, and a repository with one file. */
async function makePlace(context) {
  const root = await mkdtemp(join(tmpdir(), 'runner-'));
  context.after(() => rm(root, { recursive: true }));
  for (const name of ['queue', 'running', 'done', 'repository']) await mkdir(join(root, name));
  const repository = join(root, 'repository');
  await writeFile(join(repository, 'greeting'), 'hello\n');
  const git = (...args) =>
    execFileSync('git', ['-C', repository, '-c', 'user.name=a', '-c', 'user.email=a@example.org', ...args]);
  git('init', '--quiet', '--initial-branch=main');
  git('add', 'greeting');
  git('commit', '--quiet', '--message=One file');
  const queue = (name, job) =>
    writeFile(
      join(root, 'queue', `${name}.json`),
      JSON.stringify({ repository: `file://${repository}`, ref: 'main', ...job }),
    );
  return { root, queue };
}

test('jobs run in the order of their names, each in a clone', async (context) => {
  const { root, queue } = await makePlace(context);
  await queue('2', { command: 'exit 7' });
  await queue('1', { command: 'cat greeting' });
  assert.equal(await takeJob(root), '1');
  assert.equal((await runJob(root, '1')).status, 0);
  assert.equal(await readFile(join(root, 'done/1.log'), 'utf8'), 'hello\n');
  assert.equal(await takeJob(root), '2');
  assert.equal((await runJob(root, '2')).status, 7);
  assert.equal(await takeJob(root), null);
  assert.deepEqual(await readdir(join(root, 'running')), []);
});

test('what cannot be cloned, or is no job, fails and is told in its log', async (context) => {
  const { root, queue } = await makePlace(context);
  await queue('1', { ref: 'nowhere', command: 'true' });
  await takeJob(root);
  assert.notEqual((await runJob(root, '1')).status, 0);
  assert.match(await readFile(join(root, 'done/1.log'), 'utf8'), /nowhere/u);
  await writeFile(join(root, 'queue/2.json'), 'no JSON');
  await takeJob(root);
  assert.equal((await runJob(root, '2')).status, 1);
  assert.notEqual(await readFile(join(root, 'done/2.log'), 'utf8'), '');
});
