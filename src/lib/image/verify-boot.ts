import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildLog, logged } from '../build-log.ts';
import { assertImageFree, Operation, type OperationPlan } from '../operation.ts';
import { carryOut } from '../pipeline.ts';
import type { ProgressMode } from '../progress.ts';
import { bootsOf, insertBoot } from '../store/boots.ts';
import { imagesOfHistory } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Workspace } from '../workspace.ts';
import { bootSetOf } from './artifacts.ts';
import { type BootTrial, type BootVerdict, bootFailure, tryBoot } from './boot-gate.ts';
import { type BootReport, bootRowOf, earlierBoot, timesOf } from './boot-report.ts';
import { findImage } from './find.ts';
import { nameOf } from './generation.ts';

export interface VerifyBootOptions {
  ref: string;
  trial: BootTrial;
  progress: ProgressMode;
  /** Told what came of it, whether it passes or not. */
  onReport: (report: BootReport) => void;
}

/**
 * Boots an image, runs checks in it, and records how long it took. The image is not changed.
 * @throws BangerError `boot_failed` unless it comes up and every check succeeds; `conflict` while the image is being changed
 */
export async function verifyBoot(
  workspace: Workspace,
  { ref, trial, progress, onReport }: VerifyBootOptions,
): Promise<void> {
  const { operation, image } = await begin(workspace, ref);
  const { stage_dir: stageDir, log_path: logPath } = operation.row;
  if (stageDir === null || logPath === null) throw new Error('a verification has a directory and a log');
  const log = new BuildLog(logPath);
  await logged(workspace, log, () =>
    carryOut(
      operation,
      [
        {
          name: 'boot',
          async run({ signal, note, show }) {
            log.open();
            log.write(`boot ${image.name} (${image.id})`);
            await mkdir(stageDir, { mode: 0o700 });
            const verdict = await tryBoot(bootSetOf(image), trial, {
              scratch: join(stageDir, 'boot'),
              wasChecked: image.managed === 1,
              cacheDir: workspace.config.cacheDir,
              ...{ signal, note },
              onLine(line) {
                log.write(line);
                show(line);
              },
            });
            const failure = bootFailure(image.name, verdict, trial);
            onReport(reportOf(workspace.store, image, { verdict, trial, logPath }));
            const row = bootRowOf(image.id, verdict, { trial, passed: failure === null });
            if (row !== null) workspace.store.write(() => insertBoot(workspace.store, row));
            if (failure !== null) throw failure;
          },
        },
        { name: 'persisted', committing: true, run: () => operation.finish() },
      ],
      { progress },
    ),
  );
}

interface Reserved {
  plan: OperationPlan;
  image: ImageRow;
}

async function begin(workspace: Workspace, ref: string): Promise<{ operation: Operation; image: ImageRow }> {
  const { operation, decided } = await Operation.begin(workspace, (): Reserved => {
    const image = findImage(workspace.store, ref);
    assertImageFree(workspace.store, image, 'shared');
    const { imagesDir, logDir } = workspace.layout;
    return {
      image,
      plan: {
        kind: 'verify',
        imageId: image.id,
        imageName: image.name,
        reservations: [{ kind: 'image', key: image.id, mode: 'shared' }],
        // Beside the image's own, with which its copy can share extents.
        stageDir: join(imagesDir, `${image.id}.verify-${randomBytes(3).toString('hex')}`),
        logPath: join(logDir, `${image.id}.boot.log`),
      },
    };
  });
  return { operation, image: decided.image };
}

function reportOf(
  store: Store,
  image: ImageRow,
  { verdict, trial, logPath }: { verdict: BootVerdict; trial: BootTrial; logPath: string },
): BootReport {
  return {
    up: verdict.phases !== null && verdict.state !== 'maintenance',
    state: verdict.state,
    failed_units: verdict.failedUnits,
    times: timesOf(verdict),
    accelerator: verdict.accelerator,
    checks: trial.checks.flatMap((command, index) => {
      const result = verdict.checks[index];
      return result === undefined ? [] : [{ command, ...result }];
    }),
    earlier: imagesOfHistory(store, nameOf(image))
      .filter(({ generation }) => generation < image.generation)
      .flatMap(({ id, generation }) =>
        bootsOf(store, id, 1).map((earlier) => earlierBoot(earlier, generation)),
      ),
    log_path: logPath,
  };
}
