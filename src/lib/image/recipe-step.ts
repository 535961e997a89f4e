import type { Step, WorkdirStep } from '../recipe/recipe.ts';
import { busyboxBind } from './guest-copy.ts';
import { MAKE_DIRECTORY, scriptCommand } from './guest-question.ts';
import { findUser, readAccounts } from './guest-users.ts';
import { runCommand } from './provision.ts';
import { copyFiles } from './recipe-copy.ts';
import { runStep } from './recipe-run.ts';
import { inStep, nameStep, type StepSurroundings } from './recipe-surroundings.ts';

/**
 * Carries out one step of a recipe in an open sandbox. Its command, output, status and duration go to the log.
 * @throws BangerError `step_failed` (exit 8) with the command's status and its last lines
 * @throws PreflightError for what is missing: a source, a secret, a user of the image; it names the step and its line
 */
export async function carryOutStep(step: Step, title: string, around: StepSurroundings): Promise<void> {
  await inStep(nameStep(step, title), async () => {
    switch (step.kind) {
      case 'run':
        return runStep(step, title, around);
      case 'copy':
        return copyFiles(step, title, around);
      case 'workdir':
        return makeWorkingDirectory(step, title, around);
    }
  });
}

const WORKDIR_SCRIPT = `${MAKE_DIRECTORY}\nmake_directory "$1" "$2"`;

async function makeWorkingDirectory(
  step: WorkdirStep,
  title: string,
  around: StepSurroundings,
): Promise<void> {
  const { uid, gid } =
    step.user === null
      ? { uid: 0, gid: 0 }
      : findUser(step.user, await readAccounts(around), nameStep(step, title));
  const command = {
    argv: scriptCommand(WORKDIR_SCRIPT, [step.path, `${uid}:${gid}`]),
    binds: [busyboxBind(around.busybox)],
    network: 'none',
    tmp: 'image',
  } as const;
  await runCommand(title, command, around);
}
