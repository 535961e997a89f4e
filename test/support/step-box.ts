import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { readRecipe } from '../../src/lib/recipe/read.ts';
import type { Step } from '../../src/lib/recipe/recipe.ts';
import { type ProcessResult, run } from '../../src/lib/system/process.ts';
import type { StepCall, StepWorld } from '../lib/workers/recipe-step.ts';
import { makeRootfs } from './images.ts';
import { REPOSITORY } from './program.ts';
import type { Account } from './test-user.ts';

export interface StepBoxOptions {
  /** Files of the build context, by their paths. */
  context?: Readonly<Record<string, string | Buffer>>;
  secrets?: string[];
  env?: Record<string, string>;
  proxies?: Record<string, string>;
  images?: Record<string, string>;
  /** More files of the image. */
  files?: Readonly<Record<string, string>>;
  sizeMiB?: number;
}

/** What a call was refused with. */
export interface Refused {
  message: string;
  code: string;
  hints: string[];
}

/** The steps of instructions that follow a FROM. */
export function stepsOf(text: string): Step[] {
  return readRecipe({ path: 'Containerfile', text: `FROM x\n${text}\n` }).stages.at(-1)?.steps ?? [];
}

/** A sandbox of an account in a process of its own, in which steps of recipes are carried out. */
export class StepBox {
  readonly account: Account;
  readonly directory: string;
  readonly lines: string[] = [];
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();
  #calls = 0;
  #errors = '';

  static async open(account: Account, options: StepBoxOptions = {}): Promise<StepBox> {
    const directory = await mkdtemp(join(inject('testRun').directory, 'steps-'));
    const { files = {}, sizeMiB = 32, images = {}, secrets = [], proxies = {} } = options;
    await makeRootfs(join(directory, 'rootfs.ext4'), { files, sizeMiB });
    for (const name of ['mnt', 'context']) mkdirSync(join(directory, name));
    const worker = join(inject('testRun').directory, 'recipe-step-worker.ts');
    copyFileSync(join(REPOSITORY, 'test/lib/workers/recipe-step.ts'), worker);
    const world: StepWorld = {
      ...{ directory, images, secrets, proxies },
      image: join(directory, 'rootfs.ext4'),
      context: options.context === undefined ? null : join(directory, 'context'),
    };
    for (const [path, content] of Object.entries(options.context ?? {})) {
      const file = join(directory, 'context', path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
    await run('chown', ['-R', `${account.uid}:${account.gid}`, directory]);
    const box = new StepBox(account, world, worker, options.env ?? {});
    await box.#answer(0);
    return box;
  }

  private constructor(account: Account, world: StepWorld, worker: string, env: Record<string, string>) {
    this.account = account;
    this.directory = world.directory;
    const { program } = inject('testRun');
    const isSource = program === REPOSITORY;
    const [file = '', ...args] = [
      ...(account.uid === process.getuid?.()
        ? []
        : ['setpriv', '--reuid', `${account.uid}`, '--regid', `${account.gid}`, '--clear-groups']),
      join(program, 'node_modules/node/bin/node'),
      ...[worker, join(program, isSource ? 'src' : 'dist'), isSource ? 'ts' : 'js', JSON.stringify(world)],
    ];
    this.#child = spawn(file, args, {
      cwd: this.directory,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: this.directory, LOGNAME: account.name, ...env },
    });
    this.pid = this.#child.pid ?? 0;
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line));
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.#child.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the box is gone: ${this.#errors}`));
    });
  }

  #take(message: { id?: number; line?: string; value?: unknown; error?: Refused }): void {
    if (message.line !== undefined) this.lines.push(message.line);
    if (message.id === undefined) return;
    const { resolve, reject } = this.#waiting.get(message.id) ?? {};
    this.#waiting.delete(message.id);
    if (message.error === undefined) resolve?.(message.value);
    else reject?.(Object.assign(new Error(message.error.message), message.error));
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  call(call: StepCall): Promise<unknown> {
    this.#calls += 1;
    const answer = this.#answer(this.#calls);
    this.#child.stdin?.write(`${JSON.stringify({ ...call, id: this.#calls })}\n`);
    return answer;
  }

  /** Carries out the instructions of a recipe, one after the other. */
  async steps(text: string): Promise<void> {
    for (const step of stepsOf(text)) await this.call({ call: 'step', step, title: `step: ${step.title}` });
  }

  async refused(text: string): Promise<Refused> {
    return this.steps(text).then(
      () => {
        throw new Error(`it was not refused: ${text}`);
      },
      (error: unknown) => error as Refused,
    );
  }

  inputs(text: string): Promise<{ name: string; digest: string }[]> {
    const step = stepsOf(text).at(-1) as Step;
    return this.call({ call: 'inputs', step, title: step.title }) as Promise<
      { name: string; digest: string }[]
    >;
  }

  /** What a shell script prints in the guest. */
  async sh(script: string): Promise<string> {
    const result = (await this.call({ call: 'sh', script })) as ProcessResult;
    if (result.exitCode !== 0) throw new Error(`${script}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  }

  /** What is where in the guest: mode, owner, type and what a link says or a file holds. */
  async tree(path: string): Promise<string[]> {
    const script = `cd ${path} && find . ! -name . | busybox sort | while read -r f; do
      echo "$(stat -c '%a %u:%g' "$f") $f$( if [ -L "$f" ]; then echo " -> $(busybox readlink "$f")"; elif [ -f "$f" ]; then echo " = $(cat "$f")"; else echo /; fi )"
    done`;
    return (await this.sh(script)).split('\n').filter((line) => line !== '');
  }

  get log(): string {
    return readFileSync(join(this.directory, 'log'), 'utf8');
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  async close(): Promise<void> {
    await this.call({ call: 'close' });
    await run('e2fsck', ['-fn', this.path('rootfs.ext4')]);
  }

  async remove(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.on('close', resolve));
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await gone;
    }
    await rm(this.directory, { recursive: true, force: true });
  }
}
