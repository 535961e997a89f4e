import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { programFor, REPOSITORY } from './program.ts';
import { makeRunDirectory, removeForgottenRunDirectories, removeRunDirectory } from './run-directory.ts';
import { type Account, createTestUser, removeForgottenTestUsers, removeTestUser } from './test-user.ts';

/** What all test files of one run share. */
export interface TestRun {
  /** A directory that every account may read, removed at the end. */
  directory: string;
  /** Where the program is, for every account. */
  program: string;
  /** Null where the tests do not run as root. */
  root: Account | null;
  /** An ordinary user with subordinate ids, made for this run; whoever runs the tests when that is not root. */
  user: Account;
}

declare module 'vitest' {
  interface ProvidedContext {
    testRun: TestRun;
    /** Which form of the program a test project runs (vitest.config.ts). */
    form: 'script' | 'executable';
  }
}

/** Everything is removed whatever fails first; what had to be forced fails the run. */
async function tearDown(directory: string, user: Account | null): Promise<void> {
  const left = user ? (await removeTestUser(user.name)).map((command) => `still running: ${command}`) : [];
  const mounts = await removeRunDirectory(directory);
  left.push(...mounts.map((mountPoint) => `still mounted: ${mountPoint}`));
  if (left.length > 0) throw new Error(`the tests left something behind:\n${left.join('\n')}`);
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeForgottenRunDirectories();
  const directory = await makeRunDirectory();
  const self = userInfo();
  if (self.uid !== 0) {
    const user: Account = { label: 'ordinary user', name: self.username, uid: self.uid, gid: self.gid };
    project.provide('testRun', { directory, program: REPOSITORY, root: null, user });
    return () => tearDown(directory, null);
  }
  await removeForgottenTestUsers();
  const user = await createTestUser(join(directory, 'user'));
  try {
    const program = await programFor(user, directory);
    const root: Account = { label: 'root', name: 'root', uid: 0, gid: 0 };
    project.provide('testRun', { directory, program, root, user });
  } catch (error) {
    await tearDown(directory, user);
    throw error;
  }
  return () => tearDown(directory, user);
}
