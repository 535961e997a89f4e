import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PreflightError } from '../errors.ts';
import { newId, shortId } from '../id.ts';
import { bootSetOf } from '../image/artifacts.ts';
import { findImage } from '../image/find.ts';
import { checkBootSet } from '../image/requirements.ts';
import { makeSound } from '../image/sound-copy.ts';
import { type Acceleration, chooseAccelerator } from '../machine/acceleration.ts';
import { assertImageFree, Operation, type OperationPlan } from '../operation.ts';
import type { ImageRow } from '../store/schema.ts';
import { cloneFile } from '../system/clone.ts';
import type { Workspace } from '../workspace.ts';
import { choosePort, requireSessionTools, runSession, type SessionOptions } from './session.ts';

export interface RunOptions
  extends Pick<SessionOptions, 'memory' | 'cpus' | 'command' | 'timeoutMs' | 'show'> {
  acceleration: Acceleration;
  sshPort?: number | undefined;
}

/** What became of a run, as `--json` prints it. */
export interface RunReport {
  vm: string;
  image: string;
  accelerator: string;
  /** The command's; null where there was none. */
  status: number | null;
}

/**
 * Boots copies of an image's disks, which are thrown away at the end, however that comes.
 * @throws BangerError as runSession; `preflight_failed` when files or tools are missing
 */
export async function runThrowaway(
  workspace: Workspace,
  ref: string,
  options: RunOptions,
): Promise<RunReport> {
  await requireSessionTools(options.command);
  const { operation, decided } = await Operation.begin(workspace, () => reserveImage(workspace, ref));
  const { image, stageDir, name } = decided;
  try {
    const { signal } = operation;
    const { rootfs, workSeed, kernel, initrd } = bootSetOf(image);
    await checkBootSet(`image ${image.name}`, { ...bootSetOf(image), modules: null }, () => `banger check`);
    if (options.command.length > 0) requireKey(image);
    operation.enterStage('clone_disks');
    await mkdir(stageDir, { mode: 0o700 });
    const disks: string[] = [];
    for (const [source, file] of [
      [rootfs, 'rootfs.ext4'],
      [workSeed, 'work.ext4'],
    ] as const) {
      if (source === null) continue;
      const copy = join(stageDir, file);
      await cloneFile(source, copy, signal);
      await makeSound({ copy, source, wasChecked: image.managed === 1, signal });
      disks.push(copy);
    }
    const { acceleration, sshPort, ...session } = options;
    const ground = { kernel, cacheDir: workspace.config.cacheDir, signal, notify: workspace.notify };
    const accelerator = await chooseAccelerator(acceleration, ground);
    operation.enterStage('run');
    if (options.command.length > 0) {
      workspace.notify(`${image.name} boots; its SSH server is waited for`);
    }
    const status = await runSession({
      ...session,
      ...{ name: image.name, kernel, initrd, accelerator, signal },
      disks: disks.map((path) => ({ path })),
      sshPort: await choosePort(sshPort, options.command.length > 0),
      privateKey: workspace.config.sshKeyPath,
      knownHosts: join(stageDir, 'known_hosts'),
      isThrownAway: true,
    });
    await operation.finish();
    return { vm: name, image: image.name, accelerator, status };
  } catch (error) {
    const left = await operation.fail(error);
    if (left !== undefined)
      workspace.notify('what is left is removed by the next command that changes something');
    throw error;
  }
}

interface Reserved {
  plan: OperationPlan;
  image: ImageRow;
  stageDir: string;
  name: string;
}

function reserveImage({ store, layout }: Workspace, ref: string): Reserved {
  const image = findImage(store, ref);
  assertImageFree(store, image, 'shared');
  const id = newId();
  const name = `run-${shortId(id)}`;
  const stageDir = join(layout.vmsDir, `${id}.run-${randomBytes(3).toString('hex')}`);
  return {
    ...{ image, stageDir, name },
    plan: {
      kind: 'vm_run',
      imageId: image.id,
      imageName: image.name,
      vm: { id, name },
      reservations: [{ kind: 'image', key: image.id, mode: 'shared' }],
      stageDir,
    },
  };
}

/** What a registered image lets in, only its owner knows. */
function requireKey(image: ImageRow): void {
  if (!image.managed || image.seeded_ssh_public_key_fingerprint !== null) return;
  throw new PreflightError(`image ${image.name}`, [
    {
      message: 'it has no SSH key seeded, so that no command can be run in it',
      mend: `build one that has: banger image build NAME --from-image ${image.name}`,
    },
  ]);
}
