import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { run } from '../../src/lib/system/process.ts';

export interface DebianKernel {
  /** `uname -r` of it, e.g. 6.1.0-41-cloud-amd64. */
  version: string;
  kernel: string;
  /** `lib/modules/<version>` of the package. */
  modules: string;
}

const CACHE = resolve(import.meta.dirname, '../../.cache/kernel');
/** Depends on the newest kernel for virtual machines. */
const META_PACKAGE = 'linux-image-cloud-';

/**
 * Debian's kernel for virtual machines, downloaded with apt-get and unpacked aside: never installed. Kept between runs.
 */
export async function debianKernel(): Promise<DebianKernel> {
  const cached = await findKernel();
  if (cached) return cached;
  await mkdir(CACHE, { recursive: true });
  const work = await mkdtemp(join(CACHE, 'unpacking-'));
  try {
    const apt = await aptOptions(work);
    const arch = (await run('dpkg', ['--print-architecture'])).stdout.trim();
    const { stdout } = await run('apt-cache', [...apt, 'depends', '--important', META_PACKAGE + arch]);
    const [, name] = /Depends: (linux-image-\S+)/u.exec(stdout) ?? [];
    if (name === undefined) throw new Error(`${META_PACKAGE}${arch} depends on no kernel: ${stdout}`);
    await run('apt-get', [...apt, 'download', name], { cwd: work });
    const [deb = ''] = (await readdir(work)).filter((file) => file.endsWith('.deb'));
    await run('dpkg-deb', ['--extract', join(work, deb), join(work, 'tree')]);
    try {
      await rename(join(work, 'tree'), join(CACHE, name.replace('linux-image-', '')));
    } catch (error) {
      // Another test file was faster.
      if (!(await findKernel())) throw error;
    }
  } finally {
    await rm(work, { recursive: true });
  }
  const found = await findKernel();
  if (!found) throw new Error(`the kernel package left nothing in ${CACHE}`);
  return found;
}

async function findKernel(): Promise<DebianKernel | undefined> {
  if (!existsSync(CACHE)) return undefined;
  const [version] = (await readdir(CACHE)).filter((name) => /^\d/u.test(name));
  if (version === undefined) return undefined;
  const tree = join(CACHE, version);
  return {
    version,
    kernel: join(tree, `boot/vmlinuz-${version}`),
    modules: join(tree, `lib/modules/${version}`),
  };
}

/** Nothing where the machine has package lists; else options for lists of our own, which need no root. */
async function aptOptions(work: string): Promise<string[]> {
  const known = await run('apt-cache', ['search', '--names-only', `^${META_PACKAGE}`]);
  if (known.stdout !== '') return [];
  const state = join(work, 'apt');
  await mkdir(join(state, 'lists/partial'), { recursive: true });
  await mkdir(join(state, 'cache/archives/partial'), { recursive: true });
  const options = [
    `Dir::State::lists=${state}/lists`,
    `Dir::Cache=${state}/cache`,
    'APT::Sandbox::User=root',
  ];
  const apt = options.flatMap((option) => ['-o', option]);
  await writeFile(join(state, 'status'), '');
  await run('apt-get', [...apt, 'update', '-qq']);
  return apt;
}
