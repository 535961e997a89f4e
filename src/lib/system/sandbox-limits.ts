import type { MountKind } from './sandbox-holder.ts';

/** Something that a step cannot do. */
export interface SandboxLimit {
  /** Whom it holds for: `fuse` is an ordinary user alone, `all` is root too. */
  for: 'fuse' | 'all';
  what: string;
  /** What programs say when they run into it, on stderr; null when they say nothing that is its alone. */
  symptom: RegExp | null;
  /** Whether a step's command is about to run into it. */
  foreseen?: (command: string) => boolean;
}

/** fuse2fs makes directories as if nobody had a umask more open than this. */
const USUAL_UMASK = 0o022;

function opensUmask(command: string): boolean {
  return [...command.matchAll(/\bumask\s+([0-7]{1,4})\b/gu)].some(
    ([, mask = '022']) => (Number.parseInt(mask, 8) & USUAL_UMASK) !== USUAL_UMASK,
  );
}

/** Each seen with fuse2fs 1.47.0, Linux 6.18 and bubblewrap 0.8.0. */
const SANDBOX_LIMITS: readonly SandboxLimit[] = [
  {
    for: 'fuse',
    what: 'POSIX ACLs cannot be set, and those that a directory has are not inherited',
    symptom: /setfacl: .*not supported|\bACLs? .*not supported|system\.posix_acl/iu,
  },
  {
    for: 'fuse',
    what: 'file attributes (chattr, lsattr) can be neither set nor read',
    symptom: /(?:chattr|lsattr|flags).*(?:Inappropriate ioctl|not supported)/iu,
  },
  {
    for: 'fuse',
    what: 'files cannot be opened with O_TMPFILE',
    symptom: /O_TMPFILE|\btmpfile\b.*not supported/u,
  },
  {
    for: 'fuse',
    what: 'user and group ids above 65535 cannot be used',
    symptom: /(?:chown|chgrp|change ownership|setres[ug]id|setgroups).*Invalid argument/iu,
  },
  {
    for: 'fuse',
    what: 'renameat2 cannot exchange two names or refuse to replace one',
    symptom: /renameat2.*Invalid argument/iu,
  },
  {
    for: 'fuse',
    what: 'a file that is removed while it is open stays in its directory as .fuse_hidden… until it is closed',
    symptom: /\.fuse_hidden/u,
  },
  {
    for: 'fuse',
    what: 'a directory that is made with a umask more open than 022 comes out as with 022, and wants a chmod',
    symptom: null,
    foreseen: opensUmask,
  },
  {
    for: 'fuse',
    what: 'a setuid or setgid file that root writes to loses these bits',
    symptom: null,
  },
  {
    for: 'fuse',
    what: "new entries of a setgid directory get its group after the step that made them, those with times of their own (tar, dpkg, cp -a) keep the step's",
    symptom: null,
  },
  { for: 'fuse', what: "blocks reserved for root cannot be used by the guest's root either", symptom: null },
  {
    for: 'all',
    what: 'block and character devices cannot be made',
    symptom: /mknod.*(?:not permitted|not supported)/iu,
  },
  {
    for: 'all',
    what: 'trusted.* extended attributes cannot be set',
    symptom: /trusted\..*(?:not permitted|not supported)/iu,
  },
  {
    for: 'all',
    what: 'files cannot be made immutable or append-only',
    symptom: /chattr.*not permitted|(?:setting|changing) (?:attributes|flags).*not permitted/iu,
  },
  {
    for: 'all',
    what: 'filesystems cannot be mounted',
    symptom: /\bu?mount\b.*(?:not permitted|permission denied|must be superuser)/iu,
  },
  {
    for: 'all',
    what: 'namespaces cannot be made: no container and no other sandbox runs',
    symptom: /(?:unshare|clone|namespaces?\b).*not permitted/iu,
  },
  {
    for: 'all',
    what: 'setuid programs do not change the user: only root can become another',
    symptom: /no new privileges|effective uid is not 0/iu,
  },
  {
    for: 'all',
    what: 'raw sockets cannot be opened (ping, tcpdump)',
    symptom: /(?:ping|SOCK_RAW|raw socket).*not permitted|missing cap_net_raw/iu,
  },
];

/** What a build cannot do, for docs and for `doctor`. */
export function limitsFor(kind: MountKind): readonly SandboxLimit[] {
  return SANDBOX_LIMITS.filter((limit) => limit.for === 'all' || kind === 'fuse');
}

/** Watches what steps say for signs of a limit, and tells of each once. */
export class LimitNotes {
  readonly #open: Set<SandboxLimit>;
  readonly #tell: (note: string) => void;

  constructor(kind: MountKind, tell: (note: string) => void) {
    this.#open = new Set(limitsFor(kind));
    this.#tell = tell;
  }

  /** A line of a step's stderr. */
  watch(line: string): void {
    for (const limit of this.#open) if (limit.symptom?.test(line) === true) this.#note(limit);
  }

  /** A step's command, before it runs. */
  foresee(command: string): void {
    for (const limit of this.#open) if (limit.foreseen?.(command) === true) this.#note(limit);
  }

  #note(limit: SandboxLimit): void {
    this.#open.delete(limit);
    const { what } = limit;
    const note =
      limit.for === 'all' ? `in a build ${what}` : `when an ordinary user builds ${what}; as root it works`;
    this.#tell(`note: ${note}`);
  }
}
