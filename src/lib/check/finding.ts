import type { Layout } from '../layout.ts';
import type { Store } from '../store/store.ts';

/** Kinds of what can be wrong, as `--json` names them. */
export type Problem =
  | 'damaged_registry'
  | 'dangling_row'
  | 'stale_reservation'
  | 'dead_operation'
  | 'missing_file'
  | 'unusable_file'
  | 'damaged_filesystem'
  | 'moved_image'
  | 'open_to_others'
  | 'wrong_owner'
  | 'unknown_entry'
  | 'unusable_step'
  | 'kept_aside';

/** One thing that is not as registry and disk should be. */
export interface Finding {
  problem: Problem;
  /** `note`: nothing is wrong, but somebody should look one day. */
  severity: 'problem' | 'note';
  /** The name of the image that it is about. */
  image: string | null;
  path: string | null;
  detail: string;
  /** What `--repair` does, or has done; null where it leaves it to the user. */
  repair: string | null;
  /** Where it is left to the user: the next command to type. */
  mend: string | null;
  repaired: boolean;
}

/** What a cure works on. */
export interface Ground {
  store: Store;
  layout: Layout;
}

/**
 * Mends one finding, under the lock, in a write transaction. It looks again first: what was found may be gone. True when
 * the problem is gone.
 */
export type Cure = (ground: Ground) => boolean;

export interface Diagnosis {
  finding: Finding;
  cure?: Cure;
}

type Told = Pick<Finding, 'problem' | 'detail'> & Partial<Pick<Finding, 'image' | 'path'>>;

/** What `--repair` mends. */
export function curable(told: Told, repair: string, cure: Cure): Diagnosis {
  return { finding: { ...blank(told), repair }, cure };
}

/** What is left to the user. */
export function incurable(told: Told, mend: string | null): Diagnosis {
  return { finding: { ...blank(told), mend } };
}

export function note(told: Told, mend: string): Diagnosis {
  return { finding: { ...blank(told), severity: 'note', mend } };
}

function blank({ problem, detail, image = null, path = null }: Told): Finding {
  return { problem, severity: 'problem', image, path, detail, repair: null, mend: null, repaired: false };
}
