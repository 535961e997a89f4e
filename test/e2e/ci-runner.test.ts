import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { readRecipe } from '../../src/lib/recipe/read.ts';
import { REPOSITORY, trackedFiles } from '../house/tracked-files.ts';
import { type BuiltImage, makeBase } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { listGuest, readGuest, statGuest } from '../support/guest-files.ts';

type Built = BuiltImage & {
  outcome: string;
  labels: Record<string, string>;
  steps: { stage: string; title: string; cached: boolean; reason: string | null }[];
};

const EXAMPLE = 'examples/ci-runner';

/** What the example asks of a Debian, as programs that only write down what they were asked; the first takes its time. */
const DEBIAN: Readonly<Record<string, string>> = {
  'apt-get': '[ "$1" != update ] || sleep 2',
  'apt-cache': '',
  useradd: '',
  systemctl: '',
  node: '',
  install: 'shift 3; mkdir "$@"',
};

/** The example below a home, and a base with those programs. */
async function makeExample(home: Home): Promise<void> {
  for (const file of (await trackedFiles()).filter((one) => one.startsWith(`${EXAMPLE}/`))) {
    await home.write(file.slice('examples/'.length), readFileSync(join(REPOSITORY, file)));
  }
  await makeBase(home);
  for (const [name, does] of Object.entries(DEBIAN)) {
    await home.write(`tools/${name}`, `#!/bin/sh\necho "${name} $*" >>/asked\n${does}\n`, 0o755);
  }
  const profiles = ['--run', 'mkdir -p /etc/profile.d /etc/systemd/system'];
  await home.ok([
    ...['image', 'build', 'like-debian'],
    ...['--from-image', 'base'],
    ...['--copy', 'tools:/usr/bin'],
    ...profiles,
  ]);
}

async function buildExample(home: Home, ...flags: readonly string[]): Promise<Built> {
  const { status, document } = await home.json<Built>([
    ...['image', 'build', 'ci-runner', 'ci-runner'],
    ...['--file', 'ci-runner/Containerfile'],
    ...['--build-arg', 'BASE=like-debian'],
    ...['--replace', '--if-changed'],
    ...flags,
  ]);
  expect([status, JSON.stringify(document)]).toEqual([0, expect.any(String)]);
  return document;
}

test('no line of the example is without effect', () => {
  const path = join(REPOSITORY, EXAMPLE, 'Containerfile');
  const { notes, stages } = readRecipe({ path, text: readFileSync(path, 'utf8') });
  expect(notes).toEqual([]);
  expect(stages.map(({ name }) => name)).toEqual(['packages', 'tested', null]);
  expect(readdirSync(join(REPOSITORY, EXAMPLE)).sort()).toEqual([
    ...['.dockerignore', 'Containerfile', 'profile.sh', 'runner', 'units'],
  ]);
});

describe.each(testAccounts())('the example as $label', (account) => {
  test('is built, and later no more of it than what has changed', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeExample(home);
    const built = await buildExample(home, '--build-arg', 'REVISION=abc');
    expect(built).toMatchObject({
      outcome: 'built',
      labels: { 'org.opencontainers.image.title': 'CI runner', 'org.opencontainers.image.revision': 'abc' },
    });
    const { rootfs_path: rootfs } = built;
    expect(await listGuest(rootfs, '/opt/runner')).toEqual(['jobs.mjs', 'main.mjs']);
    expect(await statGuest(rootfs, '/etc/systemd/system/runner.service')).toMatchObject({ mode: 0o644 });
    expect(await statGuest(rootfs, '/etc/profile.d/runner.sh')).toMatchObject({ mode: 0o644 });
    expect(await listGuest(rootfs, '/var/lib/runner')).toEqual(['done', 'queue', 'running']);
    // The stage that tries the service is another one.
    expect(await readGuest(rootfs, '/asked')).toBe(
      [
        'apt-get update',
        'apt-cache show docker-cli',
        'apt-get install --yes --no-install-recommends ca-certificates docker.io git nodejs docker-cli',
        'useradd --create-home --shell /bin/bash --groups docker runner',
        'systemctl enable docker.service runner.service',
        'install --directory --owner=runner --group=runner queue running done',
        '',
      ].join('\n'),
    );
    expect(await buildExample(home, '--build-arg', 'REVISION=abc')).toMatchObject({ outcome: 'fresh' });

    await home.write('ci-runner/units/runner.service', '[Unit]\nDescription=Another\n');
    const { outcome, steps } = await buildExample(home);
    expect(outcome).toBe('built');
    const isKept = (begins: string): boolean | undefined =>
      steps.find(({ title }) => title.startsWith(begins))?.cached;
    // It took longer than a copy; where what was made from it is kept, nobody asks for it.
    expect(isKept('RUN --mount=type=cache')).not.toBe(false);
    expect(isKept('COPY --chmod=644 units/')).toBe(false);
  });
});
