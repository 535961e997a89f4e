import { chown, mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import type { MountedFilesystem } from './loop-mount.ts';
import type { Account } from './test-user.ts';

const LARGEST_MIB = 2048;
/** To free or to take blocks takes some, or gives some back, for the list of them. */
const TRIES = 4;

/** Takes pieces of half the size each time that fallocate(1) cannot have one, which it then does not take at all. */
const FILL = `
offset=0 piece=$2
while [ $piece -ge $3 ]; do
  if fallocate -o $offset -l $piece "$1" 2>/dev/null; then offset=$((offset + piece)); else piece=$((piece / 2)); fi
done
`;

/** What keeps a small filesystem full, as far as an account may fill it: root has a share of its own. */
export class Ballast {
  readonly #mount: string;
  readonly #account: Account;
  #files = 0;

  constructor({ directory }: MountedFilesystem, account: Account) {
    this.#mount = directory;
    this.#account = account;
  }

  /** Takes every block but so many bytes, exactly; more where what is freed with them cannot be taken again. */
  async leaveBytes(bytes: number): Promise<void> {
    await this.#prepare();
    this.#files += 1;
    const blocks = this.#path(`blocks-${this.#files}`);
    const { bsize } = await statfs(this.#mount);
    await this.#run(['sh', '-c', FILL, 'sh', blocks, `${256 * 2 ** 20}`, `${bsize}`]);
    // What is left now is what the filesystem keeps for itself.
    const least = await this.#free();
    for (let tries = 0; tries < TRIES; tries += 1) {
      const more = least + bytes - (await this.#free());
      if (more === 0) break;
      if (more > 0) await this.#run(['truncate', '-s', `-${more}`, blocks]);
      else await this.#run(['fallocate', '-l', `${-more}`, this.#path(`blocks-${this.#files}-${tries}`)]);
    }
  }

  /** In bytes, freed blocks included. */
  async #free(): Promise<number> {
    await run('sync', ['-f', this.#mount]);
    const { bavail, bfree, bsize } = await statfs(this.#mount);
    return (this.#account.uid === 0 ? bfree : bavail) * bsize;
  }

  /** Takes every inode but so many. */
  async leaveInodes(inodes: number): Promise<void> {
    await this.#prepare();
    const { ffree } = await statfs(this.#mount);
    for (let left = ffree; left > inodes; left -= 1) {
      this.#files += 1;
      await writeFile(this.#path(`inode-${this.#files}`), '');
    }
  }

  async remove(): Promise<void> {
    await rm(this.#path(''), { recursive: true, force: true });
    await run('sync', ['-f', this.#mount]);
  }

  #path(name: string): string {
    return join(this.#mount, 'ballast', name);
  }

  async #prepare(): Promise<void> {
    const { blocks, bsize } = await statfs(this.#mount);
    if (blocks * bsize > LARGEST_MIB * 2 ** 20)
      throw new Error(`${this.#mount} is not the small filesystem it should be`);
    await mkdir(this.#path(''), { recursive: true });
    await chown(this.#path(''), this.#account.uid, this.#account.gid);
  }

  async #run(command: readonly string[]): Promise<void> {
    const { uid, gid } = this.#account;
    const identity = ['--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups'];
    await run('setpriv', [...identity, ...command], { okExit: 'any' });
  }
}
