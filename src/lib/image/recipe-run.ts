import type { RunStep } from '../recipe/recipe.ts';
import type { StepMount } from '../system/sandbox-step.ts';
import { userSwitch } from '../system/user-switch.ts';
import { BUSYBOX, busyboxBind } from './guest-copy.ts';
import { findUser, type GuestUser, readAccounts } from './guest-users.ts';
import { type GuestCommand, runCommand } from './provision.ts';
import { type OwnedMount, prepareMounts } from './recipe-mounts.ts';
import { nameStep, type StepSurroundings } from './recipe-surroundings.ts';
import { Redaction } from './redaction.ts';

/** Gives files in memory to their owners before the command begins: PATH and OWNER each, then the command. */
const OWN_SCRIPT = `
box=${BUSYBOX}
while [ "$1" != -- ]; do
  "$box" chown "$2" "$1" || exit 125
  shift 2
done
shift
exec "$@"
`;

/** RUN. What it says is cleared of the secrets that it sees. */
export async function runStep(step: RunStep, title: string, around: StepSurroundings): Promise<void> {
  const where = nameStep(step, title);
  const user = step.user === null ? null : findUser(step.user, await readAccounts(around), where);
  const prepared = await prepareMounts(step, where, around);
  try {
    const { owned, secrets } = prepared;
    const { argv, mounts } = await commandOf(step, user, owned);
    const command: GuestCommand = {
      argv,
      env: { ...around.proxies, ...homeOf(user), ...step.env, ...prepared.env },
      cwd: step.cwd,
      tmp: 'image',
      mounts: [...prepared.mounts, ...scriptMount(step), ...mounts],
      redaction: new Redaction(secrets),
      ...(step.network === 'default' ? {} : { network: step.network }),
      binds: [...(owned.length === 0 ? [] : [busyboxBind(around.busybox)]), ...around.packageCache.binds],
    };
    await runCommand(title, command, around);
  } finally {
    await prepared.release();
  }
}

function scriptMount({ script }: RunStep): StepMount[] {
  if (script === null) return [];
  const content = Buffer.from(script.content);
  return [{ kind: 'data', content, target: script.path, mode: 0o755, writable: false }];
}

/** As Docker does, which knows HOME alone (moby, oci: the home of passwd(5), else /). */
function homeOf(user: GuestUser | null): Record<string, string> {
  if (user === null) return {};
  const name = user.name ?? String(user.uid);
  return { HOME: user.home, USER: name, LOGNAME: name };
}

async function commandOf(
  { argv }: RunStep,
  user: GuestUser | null,
  owned: readonly OwnedMount[],
): Promise<{ argv: string[]; mounts: StepMount[] }> {
  const isRoot = user === null || (user.uid === 0 && user.gid === 0 && user.groups.length === 0);
  if (isRoot && owned.length === 0) return { argv, mounts: [] };
  const { mounts, prefix } = await userSwitch(user ?? { uid: 0, gid: 0, groups: [] });
  if (owned.length === 0) return { argv: [...prefix, ...argv], mounts };
  const owners = owned.flatMap(({ target, uid, gid }) => [target, `${uid}:${gid}`]);
  return { argv: [BUSYBOX, 'sh', '-c', OWN_SCRIPT, 'sh', ...owners, '--', ...prefix, ...argv], mounts };
}
