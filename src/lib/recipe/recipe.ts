/** A Containerfile, read and evaluated for one target: nothing in it waits for a variable any more. */
export interface Recipe {
  /** Those that the target needs, each after whatever it takes from; the last one is the target. */
  stages: Stage[];
  /** Of the target, with those that it has from the stages below it. */
  labels: Record<string, string>;
  /**
   * Predefined arguments that were given: in the environment of each RUN, whose own variables come before them. No part
   * of what a step is: a step that ran behind another proxy is the same step.
   */
  proxies: Record<string, string>;
  /** What was read and has no effect, a sentence each. */
  notes: string[];
}

/** Something of ours that files come from. A stage is named by its place in the file, from 0. */
export type Origin = { kind: 'image'; ref: string } | { kind: 'stage'; index: number };

export interface Stage {
  index: number;
  /** In lower case; null where FROM gives none. */
  name: string | null;
  /** Of its FROM, from 1. */
  line: number;
  title: string;
  from: Origin | { kind: 'scratch' };
  steps: Step[];
}

export type Step = RunStep | CopyStep | WorkdirStep;

interface Written {
  /** Where its instruction begins, from 1. */
  line: number;
  /** The instruction as it is written, on one line, variables not replaced; cut where it is long. */
  title: string;
}

export interface RunStep extends Written {
  kind: 'run';
  /** With the shell in front where the instruction is in shell form. */
  argv: string[];
  /** What `argv` runs where a here-document begins with `#!`: to be there, readable and executable, for this command. */
  script: { path: string; content: string } | null;
  /** Whatever ENV and ARG set up to here, over what every step finds in its environment. */
  env: Readonly<Record<string, string>>;
  /** Names in `env` whose value is an ARG's. */
  argNames: readonly string[];
  /** Absolute. */
  cwd: string;
  /** As USER says it, `name`, `uid`, `name:group` …; null for root. */
  user: string | null;
  network: 'default' | 'none' | 'host';
  mounts: Mount[];
}

/** COPY, and ADD where it is local. */
export interface CopyStep extends Written {
  kind: 'copy';
  from: Origin | { kind: 'context' };
  /**
   * Patterns (Go's filepath.Match) relative to the root of where they come from, `.` for all of it; none begins with
   * a slash or leaves that root.
   */
  sources: string[];
  /** Here-documents. */
  files: InlineFile[];
  /** Absolute. */
  target: string;
  /** Whether the target was said to be a directory: it ended with a slash, or is the working directory itself. */
  targetIsDirectory: boolean;
  /** Whether archives among the sources are unpacked. */
  unpack: boolean;
  /** Whether directories above a source are made in the target; in a source, `/./` stands where they begin. */
  parents: boolean;
  /** `user`, `user:group`, by name or number. */
  chown: string | null;
  /** As chmod(1) takes it. */
  chmod: string | null;
  /** Patterns of what is left out. */
  excludes: string[];
}

export interface InlineFile {
  /** A name, no path. */
  name: string;
  content: string;
}

/** A directory that has to be there from now on. */
export interface WorkdirStep extends Written {
  kind: 'workdir';
  /** Absolute. */
  path: string;
  /** Whose it is when it has to be made; null for root. */
  user: string | null;
}

/** Targets are absolute, modes and ids are numbers. */
export type Mount = BindMount | CacheMount | TmpfsMount | SecretMount;

export interface BindMount {
  type: 'bind';
  from: Origin | { kind: 'context' };
  /** Relative to the root of where it comes from, `.` for all of it. */
  source: string;
  target: string;
  /** Where it is writable, what is written is thrown away after the command. */
  readonly: boolean;
}

export interface CacheMount {
  type: 'cache';
  id: string;
  target: string;
  readonly: boolean;
  /** Whether commands that run at the same time use one cache, one each, or one after the other. */
  sharing: 'shared' | 'private' | 'locked';
  /** What the cache holds when it is new; null for nothing. */
  from: { origin: Origin; source: string } | null;
  mode: number;
  uid: number;
  gid: number;
}

export interface TmpfsMount {
  type: 'tmpfs';
  target: string;
  /** Bytes; null for no limit of its own. */
  size: number | null;
}

export interface SecretMount {
  type: 'secret';
  id: string;
  /** The file that holds it, or null where only a variable does. */
  target: string | null;
  /** The variable that holds it. */
  env: string | null;
  required: boolean;
  mode: number;
  uid: number;
  gid: number;
}
