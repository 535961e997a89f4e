import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Origin, Step } from '../../../src/lib/recipe/recipe.ts';
import type { Sandbox } from '../../../src/lib/system/sandbox.ts';

/** Opens a sandbox and carries out the steps of recipes that it is told, a line of JSON each; answers in the same way. */

export interface StepWorld {
  image: string;
  directory: string;
  /** Of the build context; null for none. */
  context: string | null;
  /** As --secret has them. */
  secrets: string[];
  proxies: Record<string, string>;
  /** Files of images, by reference. */
  images: Record<string, string>;
}

export type StepCall =
  | { call: 'step' | 'inputs'; step: Step; title: string }
  | { call: 'sh'; script: string }
  | { call: 'abort' | 'close' };

const [program = '', extension = '', json = '{}'] = process.argv.slice(2);
const world = JSON.parse(json) as StepWorld;
const load = (module: string) => import(join(program, `lib/${module}.${extension}`));
const { carryOutStep } = (await load(
  'image/recipe-step',
)) as typeof import('../../../src/lib/image/recipe-step.ts');
const { inputsOfStep } = (await load(
  'image/step-inputs',
)) as typeof import('../../../src/lib/image/step-inputs.ts');
const { readSecrets } = (await load('image/secrets')) as typeof import('../../../src/lib/image/secrets.ts');
const { findStaticBusybox } = (await load(
  'system/static-busybox',
)) as typeof import('../../../src/lib/system/static-busybox.ts');
const { openContext } = (await load(
  'context/context',
)) as typeof import('../../../src/lib/context/context.ts');
const { openSandbox } = (await load('system/sandbox')) as typeof import('../../../src/lib/system/sandbox.ts');
const { BuildLog } = (await load('build-log')) as typeof import('../../../src/lib/build-log.ts');

const abort = new AbortController();
const { signal } = abort;
const say = (message: unknown): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
const below = (name: string): string => join(world.directory, name);
const log = new BuildLog(below('log'));

async function answer(id: number, work: () => Promise<unknown>): Promise<void> {
  try {
    say({ id, value: (await work()) ?? null });
  } catch (error) {
    const { message, code, hints, details } = error as Error & Record<string, unknown>;
    say({ id, error: { message, code, hints, details } });
  }
}

let sandbox: Sandbox | undefined;
await answer(0, async () => {
  log.open();
  for (const name of ['scratch', 'cache']) mkdirSync(below(name), { recursive: true });
  sandbox = await openSandbox({
    image: world.image,
    mountpoint: below('mnt'),
    network: 'host',
    signal,
    onLine: (line) => log.write(line),
  });
});

async function surroundings() {
  if (sandbox === undefined) throw new Error('no sandbox');
  return {
    sandbox,
    log,
    show: (line: string) => say({ line }),
    packageCache: { binds: [], beginInstall: async () => {}, renew: async () => false },
    busybox: await findStaticBusybox(),
    context:
      world.context === null
        ? null
        : openContext({ directory: world.context, cacheDir: below('cache'), signal }),
    rootfsOf: async (origin: Origin) =>
      world.images[origin.kind === 'image' ? origin.ref : String(origin.index)] ?? 'no such image',
    secrets: readSecrets(world.secrets, process.env),
    proxies: world.proxies,
    mountsDir: below('mounts'),
    scratchDir: below('scratch'),
    signal,
  };
}

async function obey(call: StepCall): Promise<unknown> {
  switch (call.call) {
    case 'step':
      return carryOutStep(call.step, call.title, await surroundings());
    case 'inputs':
      return inputsOfStep(call.step, {
        ...(await surroundings()),
        keyOf: (origin) => (origin.kind === 'image' ? `image ${origin.ref}` : `stage ${origin.index}`),
      });
    case 'sh':
      return sandbox?.run(['/bin/sh', '-c', call.script], { tmp: 'image' });
    case 'abort':
      return abort.abort(new Error('aborted by the test'));
    case 'close':
      return sandbox?.close();
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, ...call } = JSON.parse(line) as StepCall & { id: number };
    void answer(id, () => obey(call as StepCall));
  })
  .on('close', () => process.exit());
