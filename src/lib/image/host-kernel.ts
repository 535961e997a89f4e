import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, type FaultList } from '../errors.ts';
import { identifyKernel } from '../system/kernel-image.ts';
import { oneLine } from '../text.ts';

/** Names of kernels as distributions install them: vmlinuz-6.1.0-18-amd64. */
const KERNEL = /^vmlinuz-(\d.*)$/u;

/**
 * The newest kernel in /boot that this user may read, or null with the reason among the faults.
 * @param mend how the caller tells a user to give another
 */
export async function findHostKernel(
  faults: FaultList,
  mend: string,
  directory = '/boot',
): Promise<string | null> {
  const kernels = await kernelsIn(directory);
  if (kernels.length === 0) {
    faults.add(`there is no kernel in ${directory}`, mend);
    return null;
  }
  for (const path of kernels) {
    if (await isReadable(path)) return path;
  }
  // Ubuntu installs its kernels with mode 0600.
  const [newest = directory] = kernels;
  faults.add(`${newest} cannot be read by this user`, `${mend} (or: sudo chmod 0644 ${newest})`);
  return null;
}

/** Adds a fault unless a file is a kernel that virtual machines boot. */
export async function checkKernel(faults: FaultList, path: string, mend: string): Promise<void> {
  try {
    const kernel = await identifyKernel(path);
    if (kernel.format === 'unknown') faults.add(`${oneLine(path)} is no kernel: ${kernel.description}`, mend);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const why = errno === 'EACCES' ? 'cannot be read by this user' : `cannot be read (${errno})`;
    faults.add(`${oneLine(path)} ${why}`, mend);
  }
}

/** Kernels of a directory, the newest version first. */
async function kernelsIn(directory: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes(errnoOf(error) ?? '')) return [];
    throw error;
  }
  const order = new Intl.Collator('en', { numeric: true });
  return names
    .filter((name) => KERNEL.test(name))
    .sort((one, other) => order.compare(other, one))
    .map((name) => join(directory, name));
}

async function isReadable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
