import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BangerError } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import type { MountedRoot } from '../system/memory-root.ts';
import type { FlavorContext } from './bootstrap.ts';

/** Kernel, initramfs and modules of the kernel that the base's own package brought. */
export async function takeBootArtifacts(
  { root, runTool }: MountedRoot,
  kernelPackage: string,
  { stageDir, signal }: FlavorContext,
): Promise<void> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
  const query = ['dpkg-query', '--show', '--showformat', '${Depends}', kernelPackage];
  const { stdout } = await runTool('chroot', [root, ...query], { signal });
  const [, version] = /\blinux-image-(\d[^\s,|]*)/u.exec(stdout) ?? [];
  if (version === undefined) {
    throw new BangerError('tool_failed', `${kernelPackage} depends on no kernel: ${stdout}`);
  }
  const install = async (from: string, to: string): Promise<void> => {
    await runTool('install', ['-m', '0644', '--', join(root, 'boot', from), join(stageDir, to)], { signal });
  };
  await install(`vmlinuz-${version}`, ARTIFACT_FILES.kernel);
  await install(`initrd.img-${version}`, ARTIFACT_FILES.initrd);
  const modules = join(stageDir, ARTIFACT_FILES.modules);
  await rm(modules, { recursive: true, force: true });
  await mkdir(modules, { mode: 0o755 });
  const tree = join(root, 'usr/lib/modules', version);
  await runTool('cp', ['-R', '--no-dereference', '--preserve=mode,timestamps', '--', tree, modules], {
    signal,
  });
}
