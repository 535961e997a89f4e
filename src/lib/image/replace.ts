import { parseDuration } from './duration.ts';

/** What becomes of an image that has the name of one that is to be built. */
export interface Replace {
  /** An image that the same recipe would make again is left alone. */
  ifChanged: boolean;
  /** An image younger than this is left alone; milliseconds. With `ifChanged`: one that is both. */
  ifOlderMs?: number | undefined;
  /** How long to wait for an operation that is about to publish under the name, in milliseconds. */
  waitMs: number;
}

/** The same as it is typed. */
export interface TypedReplace {
  'if-changed'?: boolean;
  'if-older'?: string | undefined;
  wait?: string | undefined;
  'no-wait'?: boolean;
}

const WAIT = '1h';

/**
 * From spans of time as people type them.
 * @throws BangerError `usage`
 */
export function replaceFrom(typed: TypedReplace): Replace {
  const older = typed['if-older'];
  return {
    ifChanged: typed['if-changed'] === true,
    ifOlderMs: older === undefined ? undefined : parseDuration(older),
    waitMs: typed['no-wait'] ? 0 : parseDuration(typed.wait ?? WAIT),
  };
}
