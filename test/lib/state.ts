import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { test as base, expect, vi } from 'vitest';
import { type Layout, layoutOf, TRASH } from '../../src/lib/layout.ts';
import { openWorkspace, type Workspace } from '../../src/lib/workspace.ts';
import { Worker, type WorkerOptions } from './worker.ts';

export interface OpenOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
  command?: string;
}

/** A state directory of a test, with the workspaces and the processes that work on it. */
export interface State {
  readonly directory: string;
  readonly layout: Layout;
  /** What workspaces of this process had to say. */
  readonly notes: string[];
  /** Opens it as a command does; closed after the test where the test does not. */
  open(options?: OpenOptions): Promise<Workspace>;
  start(name: string, args: readonly string[], options?: WorkerOptions): Worker;
  /** A statement on the registry by another hand than the program's. Returns the rows of a query. */
  sql(statement: string, ...parameters: unknown[]): Record<string, unknown>[];
  /** One command that changes nothing but cleans up. Then everything must be as a finished command leaves it. */
  settle(): Promise<void>;
  /** Fails with every complaint unless nothing is left of any operation: no row, no reservation, no directory. */
  assertSettled(): void;
}

export const test = base.extend<{ state: State }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures this one wants
  state: async ({}, use) => {
    const parent = await mkdtemp(join(tmpdir(), 'banger-core-'));
    vi.stubEnv('BANGER_CONFIG', '');
    vi.stubEnv('XDG_CONFIG_HOME', join(parent, 'config'));
    vi.stubEnv('XDG_CACHE_HOME', join(parent, 'cache'));
    const state = new TestState(join(parent, 'state'));
    try {
      await use(state);
    } finally {
      try {
        await state.end();
      } finally {
        vi.unstubAllEnvs();
        await rm(parent, { recursive: true, force: true });
      }
    }
  },
});

class TestState implements State {
  readonly directory: string;
  readonly layout: Layout;
  readonly notes: string[] = [];
  readonly #workspaces = new Set<Workspace>();
  readonly #workers: Worker[] = [];

  constructor(directory: string) {
    this.directory = directory;
    this.layout = layoutOf(directory);
  }

  async open(options: OpenOptions = {}): Promise<Workspace> {
    const workspace = await openWorkspace(
      { stateDir: this.directory, lockTimeoutMs: options.timeoutMs ?? 5000 },
      {
        signal: options.signal ?? new AbortController().signal,
        command: options.command ?? 'banger image build test',
        notify: (message) => this.notes.push(message),
      },
    );
    this.#workspaces.add(workspace);
    const closing = {
      ...workspace,
      close: () => {
        this.#workspaces.delete(workspace);
        workspace.close();
      },
    };
    return closing;
  }

  start(name: string, args: readonly string[], options?: WorkerOptions): Worker {
    const worker = new Worker(name, [this.directory, ...args], options);
    this.#workers.push(worker);
    return worker;
  }

  sql(statement: string, ...parameters: unknown[]): Record<string, unknown>[] {
    const database = new Sqlite(this.layout.database, { timeout: 5000 });
    try {
      const prepared = database.prepare(statement);
      if (prepared.reader) return prepared.all(...parameters) as Record<string, unknown>[];
      prepared.run(...parameters);
      return [];
    } finally {
      database.close();
    }
  }

  async settle(): Promise<void> {
    const workspace = await this.open();
    await workspace.locked(() => {});
    workspace.close();
    this.assertSettled();
  }

  assertSettled(): void {
    const { layout } = this;
    const artifacts = this.sql('SELECT artifact_dir FROM images WHERE artifact_dir IS NOT NULL').map((row) =>
      basename(String(row.artifact_dir)),
    );
    expect({
      integrity: this.sql('PRAGMA integrity_check').map((row) => row.integrity_check),
      running: this.sql("SELECT kind, image_name, state FROM operations WHERE state = 'running'"),
      reservations: this.sql('SELECT kind, key FROM reservations'),
      runs: this.sql('SELECT command FROM runs'),
      owner: this.sql('SELECT run_id FROM lock')[0]?.run_id,
      lockDirectory: existsSync(`${layout.lockTarget}.lock`),
      live: readdirSync(layout.liveDir),
      images: readdirSync(layout.imagesDir)
        .filter((name) => name !== TRASH)
        .sort(),
    }).toEqual({
      integrity: ['ok'],
      running: [],
      reservations: [],
      runs: [],
      owner: null,
      lockDirectory: false,
      live: [],
      images: artifacts.sort(),
    });
  }

  async end(): Promise<void> {
    for (const worker of this.#workers) await worker.remove();
    for (const workspace of this.#workspaces) workspace.close();
  }
}
