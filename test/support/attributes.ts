import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';

function words(...values: [number, 2 | 4][]): Buffer {
  const pieces = values.map(([value, length]) => {
    const bytes = Buffer.alloc(length);
    bytes.writeUIntLE(value, 0, length);
    return bytes;
  });
  return Buffer.concat(pieces);
}

/** cap_net_raw=ep (linux/capability.h, struct vfs_cap_data). */
export const CAPABILITY = words([0x02000001, 4], [0x2000, 4], [0, 4], [0, 4], [0, 4]);

function acl(...entries: [tag: number, permissions: number, id?: number][]): Buffer {
  return Buffer.concat([
    words([2, 4]),
    ...entries.map(([tag, permissions, id = 0xffffffff]) => words([tag, 2], [permissions, 2], [id, 4])),
  ]);
}

/** u::rw-,u:1234:r--,g::r--,g:70:---,m::r--,o::--- as system calls have it: of a file of the mode 640. */
export const ACL = acl([1, 6], [2, 4, 1234], [4, 4], [8, 0, 70], [16, 4], [32, 0]);
/** u::rwx,u:1234:rwx,g::r-x,m::rwx,o::r-x: for what is made in a directory. */
export const DEFAULT_ACL = acl([1, 7], [2, 7, 1234], [4, 5], [16, 7], [32, 5]);

type Named = Readonly<Record<string, Buffer>>;

/** By debugfs, of an image that is not mounted; ACLs as system calls have them. */
export async function setAttributes(image: string, files: Readonly<Record<string, Named>>): Promise<void> {
  await inScratch(async (scratch) => {
    const value = join(scratch, 'value');
    for (const [path, attributes] of Object.entries(files)) {
      for (const [name, bytes] of Object.entries(attributes)) {
        await writeFile(value, bytes);
        const command = `ea_set -f ${value} ${path} ${name}`;
        const { stderr } = await run('debugfs', ['-w', '-R', command, image]);
        if (/^ea_set/mu.test(stderr)) throw new Error(stderr);
      }
    }
  });
}

/** What debugfs finds at a path, in hex. */
export async function readAttributes(image: string, path: string): Promise<Record<string, string>> {
  return inScratch(async (scratch) => {
    const value = join(scratch, 'value');
    const list = (await run('debugfs', ['-R', `ea_list ${path}`, image])).stdout;
    const found: Record<string, string> = {};
    for (const [, name = ''] of list.matchAll(/^ {2}(\S+) \(\d+\)/gmu)) {
      await run('debugfs', ['-R', `ea_get -f ${value} ${path} ${name}`, image]);
      found[name] = (await readFile(value)).toString('hex');
    }
    return found;
  });
}

/** The same in hex, as debugfs has it: who is in no need of an id has the id 0 in its ACLs. */
export function inHex(attributes: Named): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => {
      const hex = value.toString('hex');
      return [name, name.includes('acl') ? hex.replaceAll('ffffffff', '00000000') : hex];
    }),
  );
}

async function inScratch<T>(use: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = await mkdtemp(join(tmpdir(), 'attributes-'));
  try {
    return await use(scratch);
  } finally {
    await rm(scratch, { recursive: true });
  }
}
