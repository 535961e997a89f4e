import { BangerError } from '../errors.ts';
import { listImages } from '../store/images.ts';
import { formatTable } from '../table.ts';
import { oneLine } from '../text.ts';
import type { Workspace } from '../workspace.ts';
import { examineCachedSteps } from './cached-steps.ts';
import type { Diagnosis, Finding, Ground } from './finding.ts';
import { examineImage, type ImageCheck } from './images.ts';
import { examinePermissions } from './permissions.ts';
import { examineRegistry } from './registry.ts';
import { entriesOf, examineLostAndFound, examineStrays, examineTrash } from './strays.ts';
import { examineVms } from './vms.ts';

export interface CheckOptions extends ImageCheck {
  /** Told which image is being looked at; a deep look takes its time. */
  onImage?: (name: string, index: number, count: number) => void;
}

export interface Checked {
  images: number;
  findings: Finding[];
}

/** Compares registry and disk, both ways, changing nothing. Commands that run meanwhile are not in the way. */
export async function check(ground: Ground, options: CheckOptions): Promise<Checked> {
  const { images, diagnoses } = await examine(ground, options);
  return { images, findings: diagnoses.map(({ finding }) => finding) };
}

/** Compares, and mends under the lock what can be mended without losing anything. */
export async function checkAndRepair(workspace: Workspace, options: CheckOptions): Promise<Checked> {
  const { store } = workspace;
  const { images, diagnoses } = await examine(workspace, options);
  // Also where nothing was found: taking the lock takes up what dead runs left.
  await workspace.locked(() => {});
  await workspace.locked((lock) =>
    store.write(() => {
      lock.assertOurs();
      for (const { finding, cure } of diagnoses) finding.repaired = cure?.(workspace) ?? false;
    }),
  );
  const findings = diagnoses.map(({ finding }) => finding);
  // Whoever takes the lock removes the files of what was forgotten.
  if (findings.some(({ problem, repaired }) => problem === 'unusable_step' && repaired)) {
    await workspace.locked(() => {});
  }
  return { images, findings };
}

async function examine(
  ground: Ground,
  { onImage, ...options }: CheckOptions,
): Promise<{ images: number; diagnoses: Diagnosis[] }> {
  const { store, layout } = ground;
  // Before the rows are read: what has been made by then is in the registry.
  const entries = entriesOf(layout.imagesDir);
  const trashed = entriesOf(layout.trashDir);
  const machines = entriesOf(layout.vmsDir);
  const steps = entriesOf(layout.stepsDir);
  const registry = examineRegistry(store, layout);
  if (registry.some(({ finding }) => finding.problem === 'damaged_registry')) {
    return { images: 0, diagnoses: registry };
  }
  const images = listImages(store);
  const found: Diagnosis[] = [];
  for (const [index, image] of images.entries()) {
    options.signal?.throwIfAborted();
    onImage?.(image.name, index + 1, images.length);
    found.push(...(await examineImage(ground, image, options)));
  }
  return {
    images: images.length,
    diagnoses: [
      ...registry,
      ...found,
      ...(await examineVms(store, layout)),
      ...examineStrays(store, layout, layout.imagesDir, entries),
      ...examineStrays(store, layout, layout.vmsDir, machines),
      ...examineTrash(store, layout, trashed),
      ...(await examineCachedSteps(store, layout, steps, options)),
      ...examinePermissions(layout, images),
      ...examineLostAndFound(layout),
    ],
  };
}

/** What `check` prints for people: a line a finding, below it what is done about it, and a line that sums up. */
export function checkReport({ images, findings }: Checked): string {
  const rows = findings.map(({ severity, repaired, image, detail }) => [
    repaired ? 'repaired' : severity,
    image ?? '-',
    detail,
  ]);
  const lines = formatTable(['', '', ''], rows).split('\n').slice(1, -1);
  const told = lines.flatMap((line, index) => {
    const { repair = null, mend = null, repaired = false } = findings[index] ?? {};
    const next = repair === null ? mend : repaired ? repair : `--repair would ${repair}`;
    return next === null ? [line] : [line, `          → ${oneLine(next)}`];
  });
  return [...told, summaryOf(images, findings)].map((line) => `${line}\n`).join('');
}

function summaryOf(images: number, findings: readonly Finding[]): string {
  const left = problemsLeft(findings).length;
  const repaired = findings.filter((finding) => finding.repaired).length;
  return [
    `${counted(images, 'image')} checked`,
    ...(repaired > 0 ? [`${counted(repaired, 'problem')} repaired`] : []),
    left > 0 ? `${counted(left, 'problem')}${repaired > 0 ? ' left' : ''}` : 'nothing is wrong',
  ].join(', ');
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function problemsLeft(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ severity, repaired }) => severity === 'problem' && !repaired);
}

/** @throws BangerError `corrupt` with all findings when a problem is left */
export function assertNothingLeft(findings: readonly Finding[]): void {
  const left = problemsLeft(findings);
  if (left.length === 0) return;
  const curable = left.some(({ repair }) => repair !== null);
  throw new BangerError('corrupt', `registry and disk do not agree: ${counted(left.length, 'problem')}`, {
    hints: [
      ...(curable ? ['banger check --repair'] : []),
      ...new Set(left.flatMap(({ mend }) => mend ?? [])),
    ],
    details: { findings },
  });
}
