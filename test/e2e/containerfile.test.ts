import { existsSync, readFileSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { CAPABILITY, inHex, readAttributes, setAttributes } from '../support/attributes.ts';
import { type BuiltImage, type Failure, makeBase } from '../support/builds.ts';
import { type CliOptions, type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';

type Built = BuiltImage & {
  log_path: string;
  labels: Record<string, string>;
  steps: { stage: string; title: string; cached: boolean; reason: string | null }[];
};

interface Recipe {
  text: string;
  flags?: readonly string[];
  options?: CliOptions;
}

async function contextOf(home: Home): Promise<string> {
  const directory = join(home.directory, 'context');
  if (!existsSync(directory)) await home.write('context/.keep', '');
  return directory;
}

async function build(home: Home, name: string, { text, flags = [], options }: Recipe): Promise<Built> {
  await home.write('Containerfile', text);
  const command = [
    'image',
    'build',
    name,
    '-f',
    join(home.directory, 'Containerfile'),
    await contextOf(home),
  ];
  const { status, document } = await home.json<Built>([...command, ...flags], options);
  if (status !== 0) throw new Error(`build ${name}: exit ${status}: ${JSON.stringify(document, null, 2)}`);
  return document;
}

async function fail(home: Home, { text, flags = [] }: Recipe): Promise<Failure['error']> {
  await home.write('Containerfile', text);
  const command = [
    'image',
    'build',
    'bad',
    '-f',
    join(home.directory, 'Containerfile'),
    await contextOf(home),
  ];
  const { status, document } = await home.json<Failure>([...command, ...flags]);
  expect(status).toBe(document.error.exit_code);
  return document.error;
}

async function debugfs(image: BuiltImage, command: string): Promise<string> {
  return (await run('debugfs', ['-R', command, image.rootfs_path])).stdout;
}

/** Of the recipe's own steps. */
function cached({ steps }: Built): string {
  const own = steps.filter(({ title }) => title !== 'kernel modules');
  return own.map((step) => (step.cached ? 'kept' : 'done')).join(' ');
}

describe.each(testAccounts())('as $label', (account) => {
  test('a recipe of several stages becomes an image that boots like its base', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    await home.write('context/src/main.c', 'int main;');
    await home.write('context/src/left-out.o', 'object');
    await home.write('context/.dockerignore', '**/*.o\n');
    const text = `# syntax=docker/dockerfile:1
ARG WHAT=nothing
FROM base AS build
ARG WHAT
ENV MODE=release
WORKDIR /work
COPY src/ .
RUN <<EOF
set -e
test ! -e left-out.o
echo "$WHAT $MODE" >built
EOF

FROM base AS unused
RUN exit 1

FROM base
LABEL org.example.title="A demo" org.example.n=2
RUN mkdir -p /srv
COPY --from=build --chown=7:8 --chmod=640 /work/built /srv/
COPY <<END /etc/motd
hello
END
RUN ["/bin/sh", "-c", "cat /srv/built /etc/motd >/both"]
USER 1000
RUN id -u >/tmp/me
EXPOSE 80
CMD ["/bin/sh"]
`;
    const image = await build(home, 'demo', { text, flags: ['--build-arg', 'WHAT=something'] });
    expect(await debugfs(image, 'cat /both')).toBe('something release\nhello\n');
    expect(await debugfs(image, 'cat /tmp/me')).toBe('1000\n');
    expect(await debugfs(image, 'stat /srv/built')).toMatch(/Mode: +0640.*\nUser: +7 +Group: +8 /su);
    expect(await debugfs(image, 'stat /work')).toBe('');
    expect(image.labels).toEqual({ 'org.example.title': 'A demo', 'org.example.n': '2' });
    expect(image.base_image_name).toBe('base');
    expect(image.kernel_version).not.toBeUndefined();
    expect(image.steps.map(({ stage }) => stage)).not.toContain('unused');
    const log = readFileSync(image.log_path, 'utf8');
    expect(log).toContain('EXPOSE in line 27 has no effect');
    expect(log).toMatch(/\[build 3\/3\] RUN <<EOF\n.*\[build 3\/3\]: status 0 after/su);

    expect(cached(await build(home, 'again', { text, flags: ['--build-arg', 'WHAT=something'] }))).toBe(
      'kept kept kept kept kept',
    );
    const other = await build(home, 'other', { text, flags: ['--build-arg', 'WHAT=else'] });
    expect(other.steps.find(({ title }) => title.startsWith('RUN <<EOF'))?.cached).toBe(false);
    expect(await debugfs(other, 'cat /both')).toBe('else release\nhello\n');
    const stage = await build(home, 'stage', { text, flags: ['--target', 'build', '--build-arg', 'WHAT=x'] });
    expect(await debugfs(stage, 'cat /work/built')).toBe('x release\n');
  });

  test('capabilities go from image to stage to image, and the step is another when they are', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    const { rootfs } = await makeBase(home, { files: { 'tools/ping': 'ping' } });
    const attributes = { 'security.capability': CAPABILITY, 'user.n': Buffer.from('one') };
    await setAttributes(rootfs, { '/tools/ping': attributes });
    const text = `FROM base AS work
COPY --from=base --chown=7 /tools/ /work/
FROM base
COPY --from=work --chown=8 /work/ping /final
`;
    const image = await build(home, 'capable', { text });
    expect(await readAttributes(image.rootfs_path, '/final')).toEqual(inHex(attributes));
    expect(await debugfs(image, 'stat /final')).toMatch(/User: +8 /u);
    expect(cached(await build(home, 'again', { text }))).toBe('kept');
    await setAttributes(rootfs, { '/tools/ping': { 'user.n': Buffer.from('two') } });
    const other = await build(home, 'other', { text });
    expect(cached(other)).toBe('done done');
    expect(await readAttributes(other.rootfs_path, '/final')).toEqual(
      inHex({ ...attributes, 'user.n': Buffer.from('two') }),
    );
  });

  test('a secret is in no image, no cache and no log', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const value = 'correct-horse-battery-staple';
    const file = await home.write('token', `${value}\n`, 0o600);
    const text = `FROM base
RUN --mount=type=secret,id=token cat /run/secrets/token && cp /run/secrets/token /copied && rm /copied
RUN --mount=type=secret,id=word,env=WORD echo "$WORD" && test "\${#WORD}" -eq 19
RUN test ! -e /run/secrets/token
`;
    const flags = ['--secret', `id=token,src=${file}`, '--secret', 'id=word,env=OUTSIDE'];
    const options = { env: { OUTSIDE: 'variable-and-secret' } };
    const image = await build(home, 'secretive', { text, flags, options });
    const places = ['images', 'steps', 'image-build', 'banger.db', 'banger.db-wal'].map((name) =>
      join(home.stateDir, name),
    );
    for (const secret of [value, 'variable-and-secret']) {
      const { stdout } = await run('grep', ['-rlaF', secret, ...places.filter((path) => existsSync(path))], {
        okExit: 'any',
      });
      expect(stdout).toBe('');
    }
    expect(readFileSync(image.log_path, 'utf8')).toContain('***');
    // Another value is no other step.
    await home.write('token', 'another-secret-value\n', 0o600);
    expect(cached(await build(home, 'again', { text, flags, options }))).toBe('kept kept kept');
  });

  test('caches outlive a build, and what is bound does not come into the image', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    await home.write('context/data', 'bound');
    const step = (word: string): string => `FROM base
RUN --mount=type=cache,target=/cache echo ${word} >>/cache/all && cp /cache/all /all
RUN --mount=type=bind,source=data,target=/data --mount=type=tmpfs,target=/scratch cat /data >/read && touch /scratch/x
RUN --network=none test ! -e /data
`;
    await build(home, 'one', { text: step('first') });
    const two = await build(home, 'two', { text: step('second') });
    expect(await debugfs(two, 'cat /all')).toBe('first\nsecond\n');
    expect(await debugfs(two, 'cat /read')).toBe('bound');
    expect(await debugfs(two, 'ls -p /cache')).not.toContain('all');
    expect(await debugfs(two, 'stat /data')).toBe('');
    await home.write('context/data', 'changed');
    const three = await build(home, 'three', { text: step('second') });
    expect(cached(three)).toMatch(/ done done$/u);
    expect(await debugfs(three, 'cat /read')).toBe('changed');
  });

  test('flags run after a recipe; nothing begins from busybox', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { kernel } = await makeBase(home);
    await home.write('context/file', 'text');
    const flags = ['--run', 'cat /file >/copied', '--env', 'A=b', '--run', 'echo $A >>/copied', '--no-ssh'];
    const text = 'FROM scratch\nCOPY file /\n';
    const image = await build(home, 'little', {
      text,
      flags: [...flags, '--flavor', 'busybox', '--kernel', kernel],
    });
    expect(await debugfs(image, 'cat /copied')).toBe('textb\n');
    expect(image.base_image_id).toBeNull();
    const again = await build(home, 'twin', {
      text,
      flags: [...flags, '--flavor', 'busybox', '--kernel', kernel],
    });
    expect(cached(again)).toBe('kept kept kept');
  });

  test('links lead nowhere but into the image', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const outside = join(home.directory, 'outside');
    await mkdir(outside);
    await home.write('outside/kept', 'mine');
    const context = await contextOf(home);
    await symlink('/etc/hostname', join(context, 'host'));
    const text = `FROM base
RUN mkdir -p ${outside} && ln -s ${outside} /way && ln -s / /root-of-it
COPY .keep /way/kept
COPY .keep /root-of-it/came
`;
    const image = await build(home, 'linked', { text });
    expect(readFileSync(join(outside, 'kept'), 'utf8')).toBe('mine');
    expect(await debugfs(image, 'stat /came')).toContain('Type: regular');
    const escaping = await fail(home, { text: 'FROM base\nCOPY host /x\n' });
    expect(escaping).toMatchObject({ exit_code: 6 });
  });
});

describe('a recipe', () => {
  const [account] = testAccounts();
  if (account === undefined) throw new Error('there is no account to test as');

  test('that cannot be carried out says where and what to do', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const unknown = await fail(home, { text: 'FROM base\nRUM true\nCOPY --chmox=1 a b\n' });
    expect(unknown).toMatchObject({ code: 'usage' });
    expect(unknown.message).toMatch(/line 2|:2/u);
    expect(JSON.stringify(unknown)).toContain('RUN');
    expect(JSON.stringify(unknown)).toContain('--chmod');
    expect(await fail(home, { text: 'FROM nowhere\n' })).toMatchObject({ code: 'not_found', exit_code: 3 });
    expect(await fail(home, { text: 'FROM base\nCOPY missing /\n' })).toMatchObject({ exit_code: 6 });
    expect(await fail(home, { text: 'FROM scratch\n' })).toMatchObject({
      code: 'usage',
      hints: expect.arrayContaining([expect.stringContaining('--flavor busybox')]),
    });
    const step = await fail(home, { text: 'FROM base\nRUN echo why; exit 3\n' });
    expect(step).toMatchObject({ exit_code: 8, status: 3 });
    expect(step.output).toContain('why');
    await home.fails(2, ['image', 'build', 'x', '--from-image', 'base', '-f', 'Containerfile']);
    await home.fails(2, ['image', 'build', 'x', '--from-image', 'base', '.']);
    await home.fails(2, ['image', 'build', 'x', '--from-image', 'base', '--target', 't']);
    expect(await home.fails(6, ['image', 'build', 'x', '-f', 'nowhere/Containerfile'])).toContain(
      'no such file',
    );
    await home.verify();
  });

  test('comes on standard input, too', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const input = 'FROM base\nRUN echo here >/here\n';
    const command = ['image', 'build', 'piped', '-f', '-', await contextOf(home)];
    const { status, document } = await home.json<Built>(command, { input });
    expect(status).toBe(0);
    expect(await debugfs(document, 'cat /here')).toBe('here\n');
  });

  test('of a stage that is to be new is done anew from there', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const text = `FROM base AS tool
RUN sleep 1; cat /proc/sys/kernel/random/uuid >/id
FROM base
RUN sleep 1; true
COPY --from=tool /id /
`;
    const first = await build(home, 'one', { text });
    const second = await build(home, 'two', { text, flags: ['--no-cache-filter', 'tool'] });
    expect(second.steps.filter(({ stage }) => stage === 'tool').map((step) => step.cached)).toEqual([false]);
    expect(await debugfs(second, 'cat /id')).not.toBe(await debugfs(first, 'cat /id'));
  });

  test('that is fresh is left alone', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    await home.write('context/file', 'one');
    const text = 'FROM base\nCOPY file /\n';
    const flags = ['--replace', '--if-changed'];
    const first = await build(home, 'web', { text, flags });
    expect(await build(home, 'web', { text, flags })).toMatchObject({ outcome: 'fresh', id: first.id });
    await home.write('context/file', 'two');
    expect(await build(home, 'web', { text, flags })).toMatchObject({ outcome: 'built', generation: 2 });
    const labelled = `${text}LABEL a=b\n`;
    expect(await build(home, 'web', { text: labelled, flags })).toMatchObject({
      outcome: 'built',
      generation: 3,
    });
  });

  test('is told of before anything is done', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const text = `FROM base AS tool
RUN sleep 1; echo tool >/tool
FROM base
RUN sleep 1; echo one >/one
COPY --from=tool /tool /
`;
    await home.write('Containerfile', text);
    const command = [
      'image',
      'build',
      'web',
      '-f',
      join(home.directory, 'Containerfile'),
      await contextOf(home),
    ];
    const plan = async (...flags: string[]): Promise<Forecast> =>
      (await home.json<Forecast>([...command, '--dry-run', ...flags])).document;
    const first = await plan();
    expect(first).toMatchObject({ outcome: 'planned', name: 'web', fresh: false, size_bytes: 16 * 2 ** 20 });
    expect(first.steps.filter((step) => step.cached)).toEqual([]);
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('base\n');
    await home.ok([...command, '--replace', '--if-changed', '--quiet']);
    const second = await plan('--replace', '--if-changed');
    expect(second.fresh).toBe(true);
    expect(second.steps.filter((step) => !step.cached)).toEqual([]);
    expect(await home.ok([...command, '--dry-run', '--replace', '--if-changed'])).toBe(
      'web is fresh: nothing would be done\n',
    );
    const anew = await home.ok([...command, '--dry-run', '--no-cache-filter', 'tool']);
    expect(anew).toMatch(/^tool +do +RUN sleep 1; echo tool >\/tool +to be done anew$/mu);
    expect(anew).toMatch(/^1 +do +COPY --from=tool \/tool \//mu);
    expect(anew).toMatch(/^root filesystem: 16 MiB, .* of it on the disk/mu);
    await home.write('Containerfile', `${text}RUN false\n`);
    const longer = await plan();
    expect(longer.steps.map((step) => step.cached).slice(-3)).toEqual([true, true, false]);
    expect(await home.fails(3, ['image', 'build', 'x', '--from-image', 'nowhere', '--dry-run'])).toContain(
      'nowhere',
    );
  });
});

interface Forecast {
  fresh: boolean;
  steps: { title: string; cached: boolean; reason: string | null }[];
}
