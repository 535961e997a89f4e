import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BangerError } from '../../../src/lib/errors.ts';
import { attributesOf } from '../../../src/lib/ext4/attributes.ts';
import { piecesOf } from '../../../src/lib/ext4/content.ts';
import { linkTarget } from '../../../src/lib/ext4/link-target.ts';
import { withVolume } from '../../../src/lib/ext4/volume.ts';
import { walkVolume } from '../../../src/lib/ext4/walk.ts';
import { run } from '../../../src/lib/system/process.ts';
import { makeRootfs } from '../../support/images.ts';
import { damagesOf, SCATTERED, scatteredContent } from '../../torture/damage.ts';
import { SEED, Seeded } from '../../torture/seeded.ts';

const directory = mkdtempSync(join(tmpdir(), 'damage-'));
const sound = join(directory, 'sound');
const image = join(directory, 'image');
const FLIPS = 400;
/** What a whole reading of so small an image may take at most, in milliseconds, on a machine that is busy. */
const LIMIT_MS = 10_000;

beforeAll(async () => {
  await makeRootfs(sound, { sizeMiB: 16, files: { [SCATTERED]: scatteredContent() } });
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Reads everything that there is; what it took in, or the code of the error. */
async function readWhole(): Promise<string> {
  let names = 0;
  let bytes = 0;
  try {
    await withVolume(image, async (volume) => {
      for await (const { inode } of walkVolume(volume)) {
        names += 1;
        attributesOf(volume, inode);
        if (inode.type === 'symlink') linkTarget(volume, inode);
        if (inode.type === 'file') for (const piece of piecesOf(volume, inode)) bytes += piece.bytes.length;
      }
    });
    return `${names} names, ${bytes} bytes`;
  } catch (error) {
    if (!(error instanceof BangerError)) throw error;
    return error.code;
  }
}

test('what is damaged anywhere is read, or told to be damaged, and never takes long', async () => {
  copyFileSync(sound, image);
  const whole = await readWhole();
  expect(whole).toMatch(/^\d\d names, \d{6,} bytes$/u);
  const outcomes = new Map<string, number>();
  for (const { name, apply } of await damagesOf(sound, new Seeded(SEED + 1), FLIPS)) {
    copyFileSync(sound, image);
    await apply(image);
    const begun = performance.now();
    const outcome = await readWhole();
    expect(performance.now() - begun, name).toBeLessThan(LIMIT_MS);
    const kind = outcome === whole ? 'whole' : /names/u.test(outcome) ? 'otherwise' : outcome;
    outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
  }
  const kinds = [...outcomes.keys()].sort();
  expect(kinds).toEqual(['corrupt', 'otherwise', 'preflight_failed', 'whole']);
  expect(outcomes.get('corrupt')).toBeGreaterThan(FLIPS / 20);
}, 300_000);

describe('one that was made to keep its reader busy', () => {
  async function debugfs(...commands: string[]): Promise<void> {
    copyFileSync(sound, image);
    for (const command of commands) await run('debugfs', ['-w', '-R', command, image]);
  }

  test.for<[what: string, outcome: RegExp, ...commands: string[]]>([
    ['a directory in itself', /^corrupt$/u, 'link /root /root/again'],
    ['a name that is a path', /^corrupt$/u, 'mknod ../tty c 5 1'],
    ['a directory in two places', /^corrupt$/u, 'link /bin /var/bin'],
    ['a hidden inode with a name', /^corrupt$/u, 'link <8> /root/journal'],
    ['a name without an inode', /^corrupt$/u, 'link <4000> /root/nobody'],
    ['a file of 8 EiB', /^corrupt$/u, 'set_inode_field /bin/busybox size 0x7fffffffffffffff'],
    [
      'a file of 4 TiB, nearly all of it holes',
      /^\d\d names/u,
      'set_inode_field /bin/busybox size 0x3ffffff0000',
    ],
    ['a directory of 4 TiB', /^corrupt$/u, 'set_inode_field /etc size 0x3ffffff0000'],
    ['a link of 1 GiB', /^corrupt$/u, 'set_inode_field /bin/sh size 0x40000000'],
    ['attributes beyond all', /^corrupt$/u, 'set_inode_field /root file_acl 4000000000'],
    ['a root that is none', /^corrupt$/u, 'set_inode_field / mode 0100644'],
    ['an encrypted file', /^preflight_failed$/u, 'set_inode_field /etc/passwd flags 0x80800'],
    ['inline data that is none', /^\d\d names/u, 'set_inode_field /bin/busybox flags 0x10000000'],
    [
      'a map that leads to itself',
      /^corrupt$/u,
      'set_inode_field /bin/busybox flags 0',
      'set_inode_field /bin/busybox block[IND] 700',
      'set_inode_field /bin/busybox block[DIND] 700',
    ],
  ])('%s', async ([, outcome, ...commands]) => {
    await debugfs(...commands);
    const begun = performance.now();
    expect(await readWhole()).toMatch(outcome);
    expect(performance.now() - begun).toBeLessThan(LIMIT_MS);
  });

  test('can be left at any time', async () => {
    copyFileSync(sound, image);
    const cancelled = AbortSignal.abort(new Error('enough'));
    const reading = withVolume(image, async (volume) => {
      for await (const { path } of walkVolume(volume, { signal: cancelled })) expect(path).toBe('never');
    });
    await expect(reading).rejects.toThrow('enough');
  });
});
