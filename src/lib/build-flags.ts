import * as Flags from '@oclif/core/flags';
import { PROGRESS_MODES } from './progress.ts';

/** A flag that is a step of the build and may be given again and again. */
function step(options: { description: string; helpValue: string }) {
  return Flags.string({ ...options, multiple: true, multipleNonGreedy: true, helpGroup: 'STEP (in order)' });
}

/** What a build does, in the order in which it is given. */
export const stepFlags = {
  package: step({ description: 'install a package', helpValue: 'NAME' }),
  run: step({ description: 'run a command with /bin/sh -c', helpValue: 'COMMAND' }),
  script: step({ description: 'run a script of this machine', helpValue: 'FILE' }),
  copy: step({
    description: 'copy a file, or what is in a directory, into the image',
    helpValue: 'SRC:DEST',
  }),
  env: step({ description: 'set a variable for the steps that follow', helpValue: 'NAME=VALUE' }),
};

/** What a build begins from, and reads. */
export const recipeFlags = {
  'from-image': Flags.string({
    description: 'base image, by name or id',
    exactlyOne: ['from-image', 'file'],
    helpValue: 'REF',
  }),
  file: Flags.string({
    char: 'f',
    description: 'recipe that says what to build, a Containerfile',
    helpValue: 'FILE',
  }),
  'build-arg': Flags.string({
    description: 'value of an ARG, or the name of a variable that has it',
    helpValue: 'NAME[=VALUE]',
    multiple: true,
    multipleNonGreedy: true,
    dependsOn: ['file'],
    helpGroup: 'RECIPE',
  }),
  target: Flags.string({
    description: 'stage to build [default: the last one]',
    helpValue: 'STAGE',
    dependsOn: ['file'],
    helpGroup: 'RECIPE',
  }),
  secret: Flags.string({
    description: 'what RUN --mount=type=secret sees, and nothing keeps',
    helpValue: 'id=NAME,src=FILE',
    multiple: true,
    multipleNonGreedy: true,
    dependsOn: ['file'],
    helpGroup: 'RECIPE',
  }),
  flavor: Flags.option({
    description: 'what FROM scratch begins with',
    options: ['busybox'] as const,
    dependsOn: ['file'],
    helpGroup: 'RECIPE',
  })(),
};

/** What the artifacts are to be like. */
export const artifactFlags = {
  size: Flags.string({ description: 'grow the root filesystem to this size, like 8G', helpValue: 'SIZE' }),
  kernel: Flags.string({ description: "kernel [default: the base's]", helpValue: 'FILE' }),
  initrd: Flags.string({ description: "initial ramdisk [default: the base's]", helpValue: 'FILE' }),
  modules: Flags.string({
    description: "directory of kernel modules [default: the base's]",
    helpValue: 'DIR',
  }),
  'no-ssh': Flags.boolean({ description: 'do not seed SSH access' }),
  reproducible: Flags.boolean({
    description:
      'write the disks anew, so that the same build gives the same bytes; no time in them is after SOURCE_DATE_EPOCH [default: the time of the base]',
  }),
};

/** How progress of what takes its time is shown. */
export const progressFlag = {
  progress: Flags.option({
    description: 'how progress is shown, on standard error [default: live on a terminal, else plain]',
    options: PROGRESS_MODES,
  })(),
};

/** What of earlier builds is not done again. */
export const cacheFlags = {
  'no-cache': Flags.boolean({ description: 'do every step anew', helpGroup: 'CACHE' }),
  'no-cache-filter': Flags.string({
    description: 'do every step of this stage anew',
    helpValue: 'STAGE',
    multiple: true,
    multipleNonGreedy: true,
    dependsOn: ['file'],
    helpGroup: 'CACHE',
  }),
  refresh: Flags.boolean({
    description: 'do anew what installs packages, and all that comes after it',
    exclusive: ['no-cache'],
    helpGroup: 'CACHE',
  }),
  'shell-on-failure': Flags.boolean({
    description: 'on a terminal: open a shell in the image as a step that failed has left it',
    helpGroup: 'CACHE',
  }),
  explain: Flags.boolean({
    description: 'tell of each step whether it was kept of an earlier build, and if not, why',
    helpGroup: 'CACHE',
  }),
};

/** What becomes of an image that has the name. */
export const replaceFlags = {
  replace: Flags.boolean({
    description: 'take the name from the image that has it; that one is kept as an earlier generation',
    helpGroup: 'REPLACE',
  }),
  'if-changed': Flags.boolean({
    description: 'leave an image alone that the same recipe, inputs and base have made',
    dependsOn: ['replace'],
    helpGroup: 'REPLACE',
  }),
  'if-older': Flags.string({
    description: 'leave an image alone that is younger than this, like 7d',
    helpValue: 'DURATION',
    dependsOn: ['replace'],
    helpGroup: 'REPLACE',
  }),
  wait: Flags.string({
    description: 'wait so long for another build of the name [default: 1h]',
    helpValue: 'DURATION',
    dependsOn: ['replace'],
    exclusive: ['no-wait'],
    helpGroup: 'REPLACE',
  }),
  'no-wait': Flags.boolean({
    description: 'leave with exit code 7 when the name is being built',
    dependsOn: ['replace'],
    helpGroup: 'REPLACE',
  }),
};

/** The machine that an image is booted in. */
export const machineFlags = {
  memory: Flags.string({
    description: 'memory of the machine',
    helpValue: 'SIZE',
    default: '512M',
    helpGroup: 'BOOT',
  }),
  cpus: Flags.integer({
    description: 'processors of the machine',
    helpValue: 'NUMBER',
    default: 1,
    min: 1,
    max: 64,
    helpGroup: 'BOOT',
  }),
  vmm: Flags.option({
    description:
      'who makes the machine that an image is booted in; Firecracker has KVM alone, and no network',
    options: ['qemu', 'firecracker'] as const,
    default: 'qemu',
    helpGroup: 'BOOT',
  })(),
  accel: Flags.option({
    description: 'who runs the guest: KVM, or QEMU by itself (tcg); auto tries KVM once a boot of the host',
    options: ['auto', 'kvm', 'tcg'] as const,
    default: 'auto',
    helpGroup: 'BOOT',
  })(),
};

/** @param dependsOn flags without which there is no guest */
export function checkFlag(dependsOn: string[] = []) {
  return Flags.string({
    description: "command of the guest's shell that must succeed once it is up",
    helpValue: 'COMMAND',
    multiple: true,
    multipleNonGreedy: true,
    dependsOn,
    helpGroup: 'BOOT',
  });
}

/** How long a guest that is tried may take. */
export const timeoutFlag = {
  timeout: Flags.string({
    description: 'how long the guest may take to boot, checks included',
    helpValue: 'DURATION',
    default: '120s',
    helpGroup: 'BOOT',
  }),
};

/** Where steps are carried out. A machine that is booted for them has what machineFlags say. */
export const builderFlags = {
  network: Flags.option({
    description: 'network that the steps see',
    options: ['host', 'none'] as const,
    default: 'host',
  })(),
  builder: Flags.option({
    description:
      "what the steps run in: a sandbox, or a virtual machine (vm) that boots the image's own kernel; auto takes the sandbox where it works",
    options: ['auto', 'sandbox', 'vm'] as const,
    default: 'auto',
  })(),
};

/** What an image must pass before it is published. */
export const gateFlags = {
  verify: Flags.option({
    description: 'publish nothing that does not fit together; --verify=boot: nor what does not boot',
    options: ['static', 'boot'] as const,
    helpGroup: 'BOOT',
  })(),
  check: checkFlag(),
  ...timeoutFlag,
  ...machineFlags,
};

/** `--verify` alone stands for the first of its values: oclif knows no flag that may have one. */
export function spellOutVerify(argv: readonly string[]): string[] {
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length;
  return argv.map((word, index) => (word === '--verify' && index < end ? '--verify=static' : word));
}
