import { BangerError } from '../errors.ts';
import { type Finding, findingsReport } from '../finding.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Readings } from '../workspace.ts';
import { examineImage } from './examine.ts';
import { findImage } from './find.ts';

/** What was found of an image without booting it. */
export interface Verification {
  image: Pick<ImageRow, 'id' | 'name' | 'kernel_version'>;
  /** Whether nothing fails. */
  ok: boolean;
  findings: Finding[];
}

/**
 * Examines an image: its filesystems, and whether what it boots from fits together. Nothing is mounted, booted or changed.
 * @throws BangerError `not_found` or `usage`, as findImage; `tool_failed`, when e2fsck cannot be run
 */
export async function verifyImage(
  { store }: Pick<Readings, 'store'>,
  { image, signal }: { image: string; signal?: AbortSignal },
): Promise<Verification> {
  const row = findImage(store, image);
  const findings = await examineImage(row, signal);
  const { id, name, kernel_version } = row;
  return {
    image: { id, name, kernel_version },
    ok: findings.every(({ status }) => status !== 'fail'),
    findings,
  };
}

/** What `image verify` prints for people; with `onlyFailures`, nothing of what could be worse. */
export function verificationReport({ findings }: Verification, onlyFailures: boolean): string {
  return findingsReport(onlyFailures ? findings.filter(({ status }) => status === 'fail') : findings);
}

/** @throws BangerError `boot_failed` when anything fails */
export function assertVerified({ image, findings }: Verification): void {
  const failed = findings.filter(({ status }) => status === 'fail');
  if (failed.length === 0) return;
  const names = failed.map(({ name }) => name).join(', ');
  throw new BangerError('boot_failed', `image ${image.name} does not pass: ${names}`, {
    hints: [...new Set(failed.flatMap(({ mend }) => mend ?? []))],
  });
}
