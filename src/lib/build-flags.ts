import * as Flags from '@oclif/core/flags';

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

/** What becomes of an image that has the name. */
export const replaceFlags = {
  replace: Flags.boolean({
    description: 'take the name from the image that has it; that one is kept as an earlier generation',
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
