import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { layoutOf } from '../../src/lib/layout.ts';
import { openForWriting } from '../../src/lib/store/open.ts';
import { run } from '../../src/lib/system/process.ts';
import { fakeBzImage, makeRootfs } from './images.ts';
import { inspectState } from './verifier.ts';

const ID = 'a'.repeat(32);
const UID = process.getuid?.() ?? 0;
const NOW = new Date(0).toISOString();

let stateDir: string;
let imageDir: string;
let rootfs: string;
let workSeed: string;

/** A state as a finished command leaves it: one managed image with a work seed. */
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'banger-state-'));
  imageDir = join(stateDir, 'images', ID);
  for (const name of ['live', 'image-build', 'vms', 'images', `images/${ID}`]) {
    await mkdir(join(stateDir, name), { mode: 0o700 });
  }
  rootfs = await makeRootfs(join(imageDir, 'rootfs.ext4'));
  workSeed = join(imageDir, 'work-seed.ext4');
  await run('mke2fs', ['-q', '-F', ...['-t', 'ext4'], ...['-E', 'root_owner=0:0'], workSeed, '8M']);
  await debugfs(workSeed, ['mkdir .ssh', 'set_inode_field .ssh mode 040700']);
  const keys = join(stateDir, 'keys');
  await writeFile(keys, 'ssh-ed25519 AAAA nobody\n');
  await debugfs(workSeed, [`write ${keys} .ssh/authorized_keys`, 'sif .ssh/authorized_keys mode 0100600']);
  for (const field of ['uid', 'gid']) {
    await debugfs(workSeed, [`sif .ssh ${field} 0`, `sif .ssh/authorized_keys ${field} 0`]);
  }
  await rm(keys);
  await writeFile(join(imageDir, 'kernel'), fakeBzImage());
  await writeFile(join(imageDir, 'rootfs.ext4.packages.sha256'), `${'0'.repeat(64)}\n`);
  (await openForWriting(layoutOf(stateDir), () => false)).close();
  sql(`INSERT INTO images (id, name, managed, artifact_dir, rootfs_path, work_seed_path, kernel_path, created_at, updated_at)
       VALUES ('${ID}', 'one', 1, '${imageDir}', '${rootfs}', '${workSeed}', '${imageDir}/kernel', '${NOW}', '${NOW}')`);
});

afterEach(() => rm(stateDir, { recursive: true, force: true }));

function sql(statement: string): void {
  const database = new Sqlite(join(stateDir, 'banger.db'));
  database.pragma('foreign_keys = OFF');
  database.exec(statement);
  database.close();
}

async function debugfs(image: string, commands: readonly string[]): Promise<void> {
  for (const command of commands) await run('debugfs', ['-w', ...['-R', command], image]);
}

function operation(state: 'running' | 'succeeded'): string {
  const finished = state === 'running' ? 'NULL' : `'${NOW}'`;
  return `INSERT INTO operations (id, kind, state, run_id, pid, host, command, image_id, image_name, started_at, finished_at)
          VALUES ('o', 'build', '${state}', 'r', 1, 'h', 'banger image build two', 'b', 'two', '${NOW}', ${finished});`;
}

const DAMAGES: readonly (readonly [clause: string, damage: () => Promise<void> | void, complaint: RegExp])[] =
  [
    ['a damaged rootfs', () => debugfs(rootfs, ['clri <12>']), /rootfs\.ext4: e2fsck/u],
    [
      'a rootfs cut short',
      () => truncate(rootfs, 40 * 1024 * 1024),
      /rootfs\.ext4 has 41943040 bytes of 67108864/u,
    ],
    ['a damaged work seed', () => debugfs(workSeed, ['sif <2> links_count 9']), /work-seed\.ext4: e2fsck/u],
    ['a rootfs that a user owns', () => debugfs(rootfs, ['sif / uid 1000']), /rootfs\.ext4: \/ is 1000:0/u],
    [
      'a system directory that all may write',
      () => debugfs(rootfs, ['sif /bin mode 040777']),
      /\/bin is 0:0/u,
    ],
    ["somebody's /etc/passwd", () => debugfs(rootfs, ['sif /etc/passwd uid 1000']), /\/etc\/passwd is 1000/u],
    ['a /tmp without its sticky bit', () => debugfs(rootfs, ['sif /tmp mode 040777']), /\/tmp is 0:0 40777/u],
    ['an open .ssh', () => debugfs(workSeed, ['sif .ssh mode 040755']), /\/\.ssh is 0:0 40755/u],
    [
      "somebody's authorized_keys",
      () => debugfs(workSeed, ['sif .ssh/authorized_keys uid 1']),
      /authorized_keys is 1:0/u,
    ],
    [
      'an open work seed',
      () => debugfs(workSeed, ['sif / mode 040777']),
      /work-seed\.ext4: \/ is 0:0 40777/u,
    ],
    ['a stage directory', () => mkdirIn('images/b.build-123456'), /b\.build-123456 is no image's/u],
    ['a directory half removed', () => mkdirIn(`images/b.removing-1`), /b\.removing-1 is no image's/u],
    ['a lost directory', () => rm(imageDir, { recursive: true }), /one has lost its directory/u],
    ['a lost kernel', () => rm(join(imageDir, 'kernel')), /one has lost .*kernel/u],
    [
      'a file in no record',
      () => writeFile(join(imageDir, 'rootfs.tmp'), ''),
      /rootfs\.tmp is in no record/u,
    ],
    [
      'a broken sidecar',
      () => writeFile(join(imageDir, 'rootfs.ext4.packages.sha256'), ''),
      /is not one SHA-256/u,
    ],
    ['an open state directory', () => chmod(stateDir, 0o755), /has mode 755, not 700/u],
    ['an open artifact directory', () => chmod(imageDir, 0o755), /has mode 755, not 700/u],
    [
      'a file of a dead run',
      () => void new Sqlite(join(stateDir, 'live/r.lock')).close(),
      /r\.lock is of a dead run/u,
    ],
    [
      "a dead run's row",
      () => sql(`INSERT INTO runs VALUES ('r', 1, 'h', 'c', '${NOW}')`),
      /a run never ended/u,
    ],
    [
      'an operation that never ended',
      () => sql(operation('running')),
      /an operation never ended: build two/u,
    ],
    [
      'a reservation',
      () =>
        sql(`${operation('succeeded')} INSERT INTO reservations VALUES ('o', 'name', 'two', 'exclusive')`),
      /a reservation was left: name two/u,
    ],
    ['a lock with an owner', () => sql("UPDATE lock SET run_id = 'r'"), /the lock was left to run r/u],
    ["proper-lockfile's directory", () => mkdirIn('images.lock'), /images\.lock was left/u],
    [
      'a VM without its image',
      () => sql(`INSERT INTO vms (id, name, image_id, created_at) VALUES ('v', 'vm', 'gone', '${NOW}')`),
      /foreign_key_check/u,
    ],
    ['a damaged registry', damageRegistry, /banger\.db: /u],
  ];

async function mkdirIn(name: string): Promise<void> {
  await mkdir(join(stateDir, name));
}

/** Swaps an index's rows for another's, as a stray write would. */
function damageRegistry(): void {
  const database = new Sqlite(join(stateDir, 'banger.db'));
  database.unsafeMode(true);
  database.pragma('writable_schema = ON');
  database.exec("UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'vms_by_image'");
  database.close();
}

describe('the verifier', () => {
  test('finds nothing wrong with a sound state, or with none', async () => {
    expect(await inspectState(stateDir, { uid: UID })).toEqual([]);
    expect(await inspectState(join(stateDir, 'missing'), { uid: UID })).toEqual([]);
  });

  test.each(DAMAGES)('finds %s', async (_, damage, complaint) => {
    await damage();
    expect((await inspectState(stateDir, { uid: UID })).join('\n')).toMatch(complaint);
  });

  test("finds another's files", async () => {
    expect((await inspectState(stateDir, { uid: UID + 1 })).join('\n')).toMatch(/belongs to uid/u);
  });

  test('finds a process that works in it', async () => {
    const child = spawn('sleep', ['60'], { cwd: stateDir, stdio: 'ignore' });
    try {
      expect((await inspectState(stateDir, { uid: UID })).join('\n')).toMatch(/still uses .*: sleep 60/u);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test.runIf(UID === 0)('finds a mount, in another namespace too, and a loop device', async () => {
    const child = spawn('unshare', [
      '--mount',
      'sh',
      '-c',
      `mount -o loop ${rootfs} ${imageDir}; echo; exec sleep 60`,
    ]);
    try {
      await new Promise((resolve) => child.stdout.once('data', resolve));
      const complaints = (await inspectState(stateDir, { uid: UID })).join('\n');
      expect(complaints).toMatch(/is still mounted/u);
      expect(complaints).toMatch(/is still attached to .*rootfs\.ext4/u);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
