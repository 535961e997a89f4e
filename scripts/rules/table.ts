// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what stands in a source is not a template here
import { CONTEXT_RULES } from './contexts.ts';
import { READER_RULES } from './reader.ts';
import { STEP_RULES } from './steps.ts';

/** A rule of the house, and how to take it out. */
export interface Rule {
  rule: string;
  file: string;
  /** Stands once in the file. */
  from: string;
  to: string;
  /** Files of tests, one of which must fail then. */
  tests: readonly string[];
  /** Whether a sample of them is too little. */
  whole?: boolean;
}

const LOCK = 'src/lib/lock.ts';
const LIVENESS = 'src/lib/store/liveness.ts';
const OPERATION = 'src/lib/operation.ts';
const RECOVERY = 'src/lib/recovery.ts';
const STORE = 'src/lib/store/store.ts';
const OPEN = 'src/lib/store/open.ts';
const MIGRATE = 'src/lib/store/migrate.ts';

export const RULES: readonly Rule[] = [
  {
    rule: 'the lock is not held while the work is done',
    file: OPERATION,
    from: '    const { row, decided } = await workspace.locked((lock) =>',
    to: '    const held = await workspace.lock();\n    const { row, decided } = await Promise.resolve(held).then((lock) =>',
    tests: ['test/e2e/build-concurrency.test.ts'],
  },
  {
    rule: 'a run is alive while the kernel keeps its lock, though it is stopped',
    file: LIVENESS,
    from: 'if (isBusy(error)) return true;',
    to: 'if (isBusy(error)) return false;',
    tests: ['test/lib/store/liveness.test.ts'],
  },
  {
    rule: 'a run is dead once the kernel has let go of its lock',
    file: LIVENESS,
    from: "probe.pragma('schema_version');\n    return false;",
    to: "probe.pragma('schema_version');\n    return true;",
    tests: ['test/lib/store/liveness.test.ts'],
  },
  {
    rule: "a live owner's lock is never broken",
    file: LOCK,
    from: 'if (state.run_id !== null && isRunAlive(layout.liveDir, state.run_id))',
    to: 'if (state.run_id === runId)',
    tests: ['test/lib/lock.test.ts'],
  },
  {
    rule: "a dead owner's lock is broken at once",
    file: LOCK,
    from: 'if (state.run_id !== null && isRunAlive(layout.liveDir, state.run_id))',
    to: 'if (state.run_id !== null)',
    tests: ['test/lib/lock.test.ts'],
  },
  {
    rule: 'a lock is released only while its epoch is ours',
    file: 'src/lib/store/lock-row.ts',
    from: "sql.updateTable('lock').set({ run_id: null, acquired_at: null }).where('epoch', '=', epoch),",
    to: "sql.updateTable('lock').set({ run_id: null, acquired_at: null }).where('epoch', '>=', epoch),",
    tests: ['test/lib/lock.test.ts'],
  },
  {
    rule: 'what publishes checks that the epoch is its own',
    file: LOCK,
    from: 'if (!epochIs(store, epoch)) {',
    to: 'if (epochIs(store, -1)) {',
    tests: ['test/lib/lock.test.ts'],
  },
  {
    rule: 'what publishes checks that the operation is its own',
    file: OPERATION,
    from: '    if (row) return row;\n',
    to: '    if (row ?? this.row) return row ?? this.row;\n',
    tests: ['test/lib/operation.test.ts'],
  },
  {
    rule: 'a name is reserved',
    file: OPERATION,
    from: "  const [reserved] = reservationsOf(store, 'name', name);",
    to: "  const [reserved] = reservationsOf(store, 'name', `${name}.`);",
    tests: ['test/lib/operation.test.ts'],
  },
  {
    rule: 'a base is shared, a target exclusive',
    file: OPERATION,
    from: "mode === 'exclusive' || reserved.mode === 'exclusive',",
    to: "mode === 'exclusive' && reserved.mode === 'exclusive',",
    tests: ['test/lib/operation.test.ts', 'test/e2e/build-concurrency.test.ts'],
  },
  {
    rule: 'the row to come is in the journal before the rename',
    file: OPERATION,
    from: '      planRow(store, id, JSON.stringify(planned));\n',
    to: '      JSON.stringify(planned);\n',
    tests: ['test/lib/recovery.test.ts', 'test/lib/operation.test.ts'],
  },
  {
    rule: 'an artifact directory without its row is undone',
    file: RECOVERY,
    from: 'const isUnrecorded = planned_image !== null && !isPublished && !isStaged(operation);',
    to: 'const isUnrecorded = planned_image !== null && !isPublished && !isStaged(operation) && kind === null;',
    tests: ['test/lib/recovery.test.ts'],
  },
  {
    rule: 'a stage directory is removed',
    file: RECOVERY,
    from: 'path === stage_dir || isDoomed',
    to: 'isDoomed',
    tests: ['test/lib/recovery.test.ts'],
  },
  {
    rule: 'what has its row is completed',
    file: RECOVERY,
    from: "outcome: isDeletion || isPublished ? 'succeeded' : 'interrupted',",
    to: "outcome: 'interrupted',",
    tests: ['test/lib/recovery.test.ts'],
  },
  {
    rule: 'a directory is moved only where no image has it',
    file: RECOVERY,
    from: 'doomed.filter((path) => !isSomebodys(store, path)),',
    to: 'doomed,',
    tests: ['test/lib/recovery.test.ts', 'test/torture/hostile-registry.test.ts'],
  },
  {
    rule: 'nothing is undone while its stage directory stands: what is in its place is not ours',
    file: RECOVERY,
    from: '!isPublished && !isStaged(operation);',
    to: '!isPublished;',
    tests: ['test/lib/recovery.test.ts'],
  },
  {
    rule: 'after a COMMIT of unknown outcome nothing is undone',
    file: OPERATION,
    from: 'if (!(error instanceof UnknownCommitError)) await this.#undo(error);',
    to: 'await this.#undo(error);',
    tests: ['test/torture/failed-commit.test.ts'],
  },
  {
    rule: 'a COMMIT that failed has an unknown outcome',
    file: STORE,
    from: "if (isBusy(error) || sqliteCode(error) === 'SQLITE_FULL') throw error;",
    to: 'if (error !== undefined) throw error;',
    tests: ['test/lib/store/store.test.ts'],
  },
  {
    rule: 'files are durable before they are visible',
    file: OPERATION,
    from: '    await syncTree(stage_dir, this.signal, { durable });\n',
    to: '    if (this.signal.reason === stage_dir) await syncTree(stage_dir, this.signal, { durable });\n',
    tests: ['test/torture/power-cut.test.ts'],
    whole: true,
  },
  {
    rule: 'a rename is durable before its row',
    file: 'src/lib/system/durable.ts',
    from: '  renameSync(from, to);\n',
    to: '  renameSync(from, to);\n  if (from !== to) return;\n',
    tests: ['test/torture/power-cut.test.ts'],
    whole: true,
  },
  {
    rule: 'a row is durable when it is told',
    file: OPEN,
    from: "opened.pragma('synchronous = FULL');",
    to: "opened.pragma('synchronous = OFF');",
    tests: ['test/torture/power-cut.test.ts', 'test/lib/store/open.test.ts'],
  },
  {
    rule: 'foreign keys are on',
    file: OPEN,
    from: "sqlite.pragma('foreign_keys = ON');",
    to: "sqlite.pragma('foreign_keys = OFF');",
    tests: ['test/lib/store'],
  },
  {
    rule: 'a transaction that writes begins IMMEDIATE',
    file: STORE,
    from: "this.#sqlite.exec('BEGIN IMMEDIATE');",
    to: "this.#sqlite.exec('BEGIN');",
    tests: ['test/lib/store/store.test.ts'],
  },
  {
    rule: 'a child does not outlive us',
    file: 'src/lib/system/process.ts',
    from: 'exec setpriv --pdeathsig KILL -- /bin/sh',
    to: 'exec /bin/sh',
    tests: ['test/e2e/build-killed.test.ts', 'test/torture/kill-at-every-call.test.ts'],
  },
  {
    rule: 'cancelling signals the process group',
    file: 'src/lib/system/process.ts',
    from: 'process.kill(isAttached ? pid : -pid, name);',
    to: 'process.kill(pid, name);',
    tests: ['test/lib/system/process.test.ts'],
  },
  {
    rule: 'on a full disk the reserve is given up',
    file: 'src/lib/store/reserve.ts',
    from: '    const given = this.#paths.filter(remove);',
    to: '    const given = this.#paths.filter((path) => path.length === 0);',
    tests: ['test/e2e/full-disk.test.ts', 'test/lib/store/reserve.test.ts'],
  },
  {
    rule: 'the reserve is made again',
    file: 'src/lib/store/reserve.ts',
    from: '      this.#make(this.#missing());',
    to: '      this.#missing();',
    tests: ['test/lib/store/reserve.test.ts'],
  },
  {
    rule: 'the reserve is taken back before a copy can use it up',
    file: 'src/lib/store/store.ts',
    from: 'this.#guarded(() => this.#reserve.lend(() => this.#immediate(change)));',
    to: 'this.#guarded(() => this.#reserve.retryOnceWithout(() => this.#immediate(change)));',
    tests: ['test/lib/store/store.test.ts', 'test/torture/full-disk.test.ts'],
  },
  {
    rule: 'a deletion that was killed ends in the trash',
    file: 'src/lib/recovery.ts',
    from: 'if (isTrashed && !imageById(store, operation.image_id)) moveToTrash',
    to: 'if (isTrashed && imageById(store, operation.image_id)) moveToTrash',
    tests: ['test/lib/recovery.test.ts'],
  },
  {
    rule: 'what was made of an image that is in the trash by now is removed',
    file: 'src/lib/recovery.ts',
    from: 'filter((path) => path === stage_dir || isDoomed)',
    to: 'filter((path) => (path === stage_dir && !isTrashed) || isDoomed)',
    tests: ['test/lib/recovery.test.ts'],
  },
  {
    rule: 'an image that is replaced keeps its row',
    file: 'src/lib/image/generation.ts',
    from: '  retire(store, image.name, image.created_at);\n',
    to: "  for (const one of history) if (one.name === image.name) updateImage(store, { ...image, id: one.id, name: 'lost' });\n",
    tests: ['test/e2e/generations.test.ts'],
  },
  {
    rule: 'space is estimated before the work starts',
    file: 'src/lib/system/room.ts',
    from: 'export function roomFault(path: string, { bytes, inodes }: Room): Fault | null {\n',
    to: 'export function roomFault(path: string, { bytes, inodes }: Room): Fault | null {\n  if (bytes >= 0) return null;\n',
    tests: ['test/lib/image/room.test.ts', 'test/e2e/full-disk.test.ts'],
  },
  {
    rule: 'whoever asked for a cancel before the rename gets it',
    file: OPERATION,
    from: 'if (this.#assertOurs(lock).cancel_requested_at !== null) throw this.#cancelled();',
    to: 'this.#assertOurs(lock);',
    tests: ['test/lib/operation.test.ts'],
  },
  {
    rule: 'readers accept the schema before theirs',
    file: OPEN,
    from: 'if (version < SCHEMA_VERSION - 1)',
    to: 'if (version < SCHEMA_VERSION)',
    tests: ['test/lib/store/schema-before.test.ts'],
  },
  {
    rule: 'a migration waits for live operations',
    file: MIGRATE,
    from: '        refuseWhileInUse(sqlite, path, isAlive);\n',
    to: '        if (scripts.length === 0) refuseWhileInUse(sqlite, path, isAlive);\n',
    tests: ['test/lib/store/migrate.test.ts'],
  },
  {
    rule: 'a migration copies the database aside first',
    file: MIGRATE,
    from: '        copyAside(path, `${path}.v${from}`);\n',
    to: '        if (scripts.length === 0) copyAside(path, `${path}.v${from}`);\n',
    tests: ['test/lib/store/migrate.test.ts'],
  },
  {
    rule: 'a database newer than the program is refused',
    file: OPEN,
    from: 'if (version > SCHEMA_VERSION) {',
    to: 'if (version > SCHEMA_VERSION + 99) {',
    tests: ['test/lib/store/open.test.ts'],
  },
  ...CONTEXT_RULES,
  ...READER_RULES,
  ...STEP_RULES,
];
