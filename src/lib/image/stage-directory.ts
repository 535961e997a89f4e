import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Layout } from '../layout.ts';

export interface ImagePlaces {
  /** `images/<id>`: where the image lives once it is published. */
  artifactDir: string;
  /** `images/<id>.build-XXXXXX`: beside it, so that one rename publishes. Not made yet. */
  stageDir: string;
  logPath: string;
}

export function placesFor(layout: Layout, imageId: string): ImagePlaces {
  const artifactDir = join(layout.imagesDir, imageId);
  return {
    artifactDir,
    stageDir: `${artifactDir}.build-${randomBytes(3).toString('hex')}`,
    logPath: join(layout.logDir, `${imageId}.log`),
  };
}
