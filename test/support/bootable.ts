import type { BuiltImage } from './builds.ts';
import type { Home } from './cli.ts';
import { debianKernel } from './kernel.ts';

/** Makes an image of a few MiB that boots in seconds: a busybox, with Debian's kernel and an initrd for its modules. */
export async function bootstrapBootable(home: Home, name: string): Promise<BuiltImage> {
  const { kernel, modules } = await debianKernel();
  const flags = ['--flavor', 'busybox', '--kernel', kernel, '--modules', modules];
  await home.ok(['image', 'bootstrap', name, ...flags]);
  return (await home.json<BuiltImage>(['image', 'show', name])).document;
}
