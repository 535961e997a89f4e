import { join } from 'node:path';
import { BangerError } from '../errors.ts';
import type { StageContext } from '../pipeline.ts';
import { insertBoot } from '../store/boots.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { oneLine } from '../text.ts';
import { artifactColumns, bootSetOf } from './artifacts.ts';
import { type BootTrial, type BootVerdict, bootFailure, tryBoot } from './boot-gate.ts';
import { bootRowOf } from './boot-report.ts';
import { bootTrial, type TypedTrial } from './boot-trial.ts';
import { examineImage } from './examine.ts';

/** What an image must pass before it is published: it fits together, and where there is a trial, it boots. */
export interface Gate {
  boot: BootTrial | null;
}

/** The flags of a gate, as they are typed. */
export interface TypedGate extends TypedTrial {
  verify?: 'static' | 'boot' | undefined;
}

/** @throws BangerError `usage` */
export function gateFrom(typed: TypedGate): Gate | null {
  const { verify, check = [] } = typed;
  if (verify === 'boot') return { boot: bootTrial(typed) };
  if (check.length > 0) {
    throw new BangerError('usage', '--check: a command of the guest wants a guest that runs', {
      hints: ['--verify=boot --check COMMAND'],
    });
  }
  return verify === undefined ? null : { boot: null };
}

export interface GateGround extends Pick<StageContext, 'signal' | 'note' | 'show'> {
  /** Where the image's files are until they are published. */
  stageDir: string;
  cacheDir: string;
  log: { write(line: string): void };
}

/**
 * Examines an image that is not published yet, and boots it.
 * @returns what to record once it is published; null where nothing was booted
 * @throws BangerError `boot_failed`
 */
export async function passGate(
  image: ImageRow,
  { boot }: Gate,
  { stageDir, cacheDir, log, signal, note, show }: GateGround,
): Promise<((store: Store) => void) | null> {
  const staged: ImageRow = {
    ...image,
    ...artifactColumns(stageDir, {
      initrd: image.initrd_path !== null,
      modules: image.modules_dir !== null,
      workSeed: image.work_seed_path !== null,
    }),
  };
  const failed = (await examineImage(staged, signal)).filter(({ status }) => status === 'fail');
  if (failed.length > 0) {
    const lines = failed.map(
      ({ name, detail }) => `\n  - ${name}: ${oneLine(detail).replaceAll(`${stageDir}/`, '')}`,
    );
    throw new BangerError('boot_failed', `image ${image.name} does not pass:${lines.join('')}`);
  }
  if (boot === null) return null;
  const verdict = await tryBoot(bootSetOf(staged), boot, {
    ...{ scratch: join(stageDir, 'boot'), wasChecked: true, cacheDir, signal, note },
    onLine(line) {
      log.write(line);
      show(line);
    },
  });
  const failure = bootFailure(image.name, verdict, boot);
  if (failure !== null) throw failure;
  return (store) => recordBoot(store, image.id, verdict, boot);
}

function recordBoot(store: Store, imageId: string, verdict: BootVerdict, trial: BootTrial): void {
  const row = bootRowOf(imageId, verdict, { trial, passed: true });
  if (row !== null) insertBoot(store, row);
}
