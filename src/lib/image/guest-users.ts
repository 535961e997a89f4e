import { PreflightError } from '../errors.ts';
import type { Identity } from '../system/user-switch.ts';
import { oneLine } from '../text.ts';
import { askGuest } from './guest-question.ts';
import type { Provisioning } from './provision.ts';

/** Users and groups as an image's passwd(5) and group(5) have them. */
export interface Accounts {
  users: readonly User[];
  groups: readonly Group[];
}

interface User {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface Group {
  name: string;
  gid: number;
  members: readonly string[];
}

/** Whom a command of a recipe runs as. */
export interface GuestUser extends Identity {
  /** Null for a number that nobody has. */
  name: string | null;
  home: string;
}

/** How much of a file is read that an image may have made as large as it likes, in bytes. */
const MAX_BYTES = 1024 * 1024;
/** 4294967295 stands for no id at all (chown(2)). */
const MAX_ID = 4_294_967_294;

/** Nothing waits for a writer, and nothing is read without end, whatever the files are. */
const SCRIPT = `
for file in passwd group; do
  [ ! -f /etc/$file ] || "$box" head -c ${MAX_BYTES} /etc/$file | "$box" base64 -w 0
  echo
done
`;

/** Reads them in the guest, whose links lead nowhere else. */
export async function readAccounts(around: Provisioning): Promise<Accounts> {
  const answer = await askGuest(SCRIPT, [], around);
  const [passwd = [], group = []] = answer
    .split('\n')
    .map((encoded) => Buffer.from(encoded, 'base64').toString('latin1').split('\n'))
    .map((lines) => lines.map((line) => line.split(':')));
  return {
    users: passwd.flatMap(([name = '', , uid = '', gid = '', , home = '']) => {
      const [own, group] = [idOf(uid), idOf(gid)];
      return name === '' || own === null || group === null
        ? []
        : [{ name, uid: own, gid: group, home: home === '' ? '/' : Buffer.from(home, 'latin1').toString() }];
    }),
    groups: group.flatMap(([name = '', , gid = '', members = '']) => {
      const own = idOf(gid);
      return name === '' || own === null ? [] : [{ name, gid: own, members: members.split(',') }];
    }),
  };
}

function idOf(text: string): number | null {
  if (!/^\d{1,10}$/u.test(text)) return null;
  const id = Number(text);
  return id <= MAX_ID ? id : null;
}

/**
 * Whom `user`, `uid`, `user:group` … means: a name that is a number is one. Without a group it is the user's own, with those
 * that list the user; 0 where nobody has the number (moby/sys, user.GetExecUser).
 * @throws PreflightError for a name that nobody has
 */
export function findUser(written: string, accounts: Accounts, where: string): GuestUser {
  const [user = '', group] = written.split(':');
  const uid = idOf(user);
  const known = accounts.users.find(({ name, uid: own }) => name === latin1(user) || own === uid);
  if (known === undefined && uid === null) throw nobody('user', user, where);
  const name = known?.name ?? null;
  return {
    name: name === null ? null : Buffer.from(name, 'latin1').toString(),
    uid: known?.uid ?? uid ?? 0,
    gid: group === undefined ? (known?.gid ?? 0) : findGroup(group, accounts, where),
    groups:
      group === undefined && name !== null
        ? accounts.groups.filter(({ members }) => members.includes(name)).map(({ gid }) => gid)
        : [],
    home: known?.home ?? '/',
  };
}

/**
 * Whom `--chown` means. A number alone is the group's as well (Dockerfile reference, COPY --chown); a name alone brings the
 * user's own group (buildkit, solver/llbsolver/file/user_linux.go).
 * @throws PreflightError for a name that nobody has
 */
export function findOwner(written: string, accounts: Accounts, where: string): { uid: number; gid: number } {
  const [user = '', group] = written.split(':');
  const uid = idOf(user);
  const known = accounts.users.find(({ name }) => name === latin1(user));
  if (known === undefined && uid === null) throw nobody('user', user, where);
  const own = uid ?? known?.uid ?? 0;
  if (group !== undefined) return { uid: own, gid: findGroup(group, accounts, where) };
  return { uid: own, gid: uid ?? known?.gid ?? 0 };
}

/** Whether an owner is told by numbers alone, so that nobody needs to be asked. */
export function isNumeric(written: string): boolean {
  return written.split(':').every((part) => idOf(part) !== null);
}

function findGroup(written: string, { groups }: Accounts, where: string): number {
  const gid = idOf(written) ?? groups.find(({ name }) => name === latin1(written))?.gid;
  if (gid === undefined) throw nobody('group', written, where);
  return gid;
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function nobody(kind: 'user' | 'group', name: string, where: string): PreflightError {
  const file = kind === 'user' ? 'passwd' : 'group';
  return new PreflightError(where, [
    {
      message: `there is no ${kind} '${oneLine(name)}' in /etc/${file} of the image`,
      mend: `make it in a RUN before, or write its number`,
    },
  ]);
}
