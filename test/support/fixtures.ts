import { test as base } from 'vitest';
import { Home } from './cli.ts';
import type { Account } from './test-user.ts';

interface Fixtures {
  /** Makes a home of an account; after the test its state is verified, and it is removed. */
  makeHome: (account: Account) => Promise<Home>;
}

/** `test` for whatever changes a state: nobody can forget to verify it. */
export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures this one wants
  makeHome: async ({}, use) => {
    const homes: Home[] = [];
    try {
      await use(async (account) => {
        const home = await Home.make(account);
        homes.push(home);
        return home;
      });
      for (const home of homes) await home.verify();
    } finally {
      for (const home of homes) await home.remove();
    }
  },
});
