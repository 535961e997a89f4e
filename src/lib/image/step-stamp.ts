import { statSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import type { CachedStepRow } from '../store/schema.ts';

/** Where the files of a kept step are. */
export interface StepFiles {
  rootfs: string;
  /** Of a result. */
  workSeed: string;
}

/** Changes when somebody writes to the files; empty where they are not there. */
export function stampOf({ rootfs, workSeed }: StepFiles, kind: CachedStepRow['kind']): string {
  const files = kind === 'result' ? [rootfs, workSeed] : [rootfs];
  try {
    return files
      .map((path) => {
        const { size, mtimeNs } = statSync(path, { bigint: true });
        return `${size}:${mtimeNs}`;
      })
      .join(' ');
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return '';
  }
}
