import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FaultList } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import { runMmdebstrap } from '../system/mmdebstrap.ts';
import { formatBytes } from '../text.ts';
import type { Assembled, Flavor, FlavorContext } from './bootstrap.ts';
import { takeBootArtifacts } from './debian-boot.ts';
import { type Ground, groundInMemory, groundOnDisk } from './debian-ground.ts';
import { basePackages, kernelPackage } from './debian-guest.ts';
import { CUSTOMIZE_HOOK, hookEnvironment, SETUP_HOOK } from './debian-hooks.ts';
import { checkDebianHost, type DebianMends, readSourcesHost } from './debian-host.ts';
import { assertWishes, type ChosenSources, chooseSources } from './debian-sources.ts';
import { prepareWorkshop, type Workshop } from './debian-workshop.ts';
import { assertPackageName } from './packages.ts';
import { makeWorkSeed } from './work-seed.ts';

export interface DebianOptions {
  /** Of the root filesystem, in bytes. */
  size: number;
  /** This machine's own release when absent. */
  suite?: string | undefined;
  /** The archives that this machine's apt is configured with when absent. */
  mirror?: string | undefined;
  /** Beyond the base packages. */
  packages: readonly string[];
  mends: DebianMends;
}

const GIB = 2 ** 30;
export const DEBIAN_SIZE = 4 * GIB;
/** What the base packages take, and room to unpack them. */
const LEAST_SIZE = GIB;
/** No Debian with a kernel is smaller; its directory, root filesystem, kernel, initrd, modules, work seed and digest. */
const LEAST_ROOM = { bytes: 128 * 2 ** 20, inodes: 7 };
/** A root in memory holds about half of this at its fullest; packages beyond the base take their own. */
const LEAST_MEMORY = 1.5 * GIB;
const FULL = /No space left on device/u;

interface Plan {
  chosen: ChosenSources;
  /** The package that brings the kernel. */
  kernel: string;
  /** The base's own, the kernel's included. */
  packages: string[];
}

/**
 * A Debian from the packages of a mirror, with everything that a virtual machine boots from.
 * @throws BangerError `usage` for a suite, a mirror or a package that is none
 */
export function debianFlavor(options: DebianOptions): Flavor {
  assertWishes(options);
  for (const name of options.packages) assertPackageName(name);
  let plan: Plan | undefined;
  return {
    async check() {
      plan = await makePlan(options);
      return { copies: [], more: LEAST_ROOM };
    },
    async assemble(context) {
      if (plan === undefined) throw new Error('a flavor is checked before it is assembled');
      return assemble(options, plan, context);
    },
  };
}

/** @throws PreflightError listing everything that is missing at once */
async function makePlan(options: DebianOptions): Promise<Plan> {
  const { size, mends } = options;
  const faults = new FaultList();
  if (size < LEAST_SIZE) {
    faults.add(
      `${formatBytes(size)} is too small for a Debian, which wants ${formatBytes(LEAST_SIZE)}`,
      mends.size,
    );
  }
  await checkDebianHost(faults);
  const host = await readSourcesHost();
  const chosen = chooseSources(host, options);
  if ('missing' in chosen) {
    faults.add(chosen.message, mends[chosen.missing]);
    faults.throwIfAny('bootstrap debian');
    throw new Error('a fault was added');
  }
  const kernel = kernelPackage(chosen.distribution, host.architecture);
  if (kernel === null) {
    faults.add(
      `there is no kernel for virtual machines of ${host.architecture}`,
      'use an amd64 or arm64 machine',
    );
  }
  faults.throwIfAny('bootstrap debian');
  return {
    chosen,
    kernel: kernel ?? '',
    packages: [kernel ?? '', ...basePackages(chosen.suite)],
  };
}

async function assemble(options: DebianOptions, plan: Plan, context: FlavorContext): Promise<Assembled> {
  const { stageDir, onLine } = context;
  const directory = join(stageDir, 'bootstrap');
  const memory = Math.floor(process.availableMemory() * 0.75);
  onLine(`from ${plan.chosen.sources.flatMap(({ uris, suites }) => [...uris, ...suites]).join(' ')}`);
  try {
    if (memory < LEAST_MEMORY || !(await succeedsInMemory(options, plan, context, memory))) {
      onLine('putting the root filesystem together on disk, since memory is short');
      await assembleIn(options, plan, context, (mountpoint) =>
        groundOnDisk(options.size, context, mountpoint),
      );
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return {
    initrd: true,
    modules: true,
    preset: 'debian',
    packages: options.packages,
    presetPackages: plan.packages,
  };
}

/** False when what was asked for did not fit. */
async function succeedsInMemory(
  options: DebianOptions,
  plan: Plan,
  context: FlavorContext,
  sizeBytes: number,
): Promise<boolean> {
  const { signal, onLine } = context;
  let full = false;
  const watched: FlavorContext = {
    ...context,
    onLine(line) {
      full ||= FULL.test(line);
      onLine(line);
    },
  };
  try {
    await assembleIn(options, plan, watched, (mountpoint) =>
      groundInMemory(options.size, watched, mountpoint, sizeBytes),
    );
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (!full) throw error;
    return false;
  }
}

async function assembleIn(
  options: DebianOptions,
  plan: Plan,
  context: FlavorContext,
  open: (mountpoint: string) => Promise<Ground>,
): Promise<void> {
  const { stageDir, signal, onLine } = context;
  // What an attempt that did not fit may have left.
  for (const file of [ARTIFACT_FILES.rootfs, ARTIFACT_FILES.workSeed]) {
    await rm(join(stageDir, file), { force: true });
  }
  const workshop = await prepareWorkshop(join(stageDir, 'bootstrap'), plan.chosen, signal);
  const ground = await open(workshop.mountpoint);
  try {
    await install(options, plan, ground, workshop, context);
    await takeBootArtifacts(ground.root, plan.kernel, context);
    await makeWorkSeed(ground.root, join(stageDir, ARTIFACT_FILES.workSeed), signal);
    onLine('making the image');
    await ground.finish();
  } catch (error) {
    await ground.root.abandon();
    throw error;
  }
}

async function install(
  { packages }: DebianOptions,
  { chosen, packages: base }: Plan,
  { root, unsafeIo }: Ground,
  workshop: Workshop,
  { signal, onLine }: FlavorContext,
): Promise<void> {
  await runMmdebstrap({
    target: root,
    suite: chosen.suite,
    sourcesFile: workshop.sourcesFile,
    packages: [...base, ...packages],
    // Ubuntu's base-files is merged already, and says so in a way that mmdebstrap's hook takes for something else.
    mergedUsr: chosen.distribution === 'debian',
    hostname: chosen.distribution,
    setup: SETUP_HOOK,
    customize: CUSTOMIZE_HOOK,
    env: {
      ...hookEnvironment(workshop, [...base, ...packages]),
      // Kernel packages then make no initramfs of their own.
      INITRD: 'No',
      // dpkg would read /root/.dpkg.cfg of this machine.
      HOME: '/nonexistent',
      ...{ USER: 'root', LOGNAME: 'root', DEBIAN_FRONTEND: 'noninteractive' },
    },
    unsafeIo,
    signal,
    onLine,
  });
  // What mmdebstrap puts there depends on whether it may; a guest's /dev is a devtmpfs.
  await root.runTool('find', [join(root.root, 'dev'), '-mindepth', '1', '-delete'], { signal });
}
