import { statSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import type { ImageRow } from '../store/schema.ts';

/** What a file takes on the disk and what it claims to hold, in bytes. */
export interface FileSize {
  allocated: number;
  virtual: number;
}

/** The size of a file, or null when the system cannot say: a row without its file must never break a list. */
export function sizeOf(path: string): FileSize | null {
  try {
    const { blocks, size } = statSync(path);
    return { allocated: blocks * 512, virtual: size };
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return null;
  }
}

/** An image as `--json` prints it: the columns, with booleans for bits. */
export type ImageJson = Omit<ImageRow, 'managed' | 'docker' | 'protected' | 'labels'> & {
  managed: boolean;
  docker: boolean;
  protected: boolean;
  labels: Readonly<Record<string, string>>;
};

export function imageJson(image: ImageRow): ImageJson {
  return {
    ...image,
    managed: image.managed === 1,
    docker: image.docker === 1,
    protected: image.protected === 1,
    labels: labelsOf(image),
  };
}

function labelsOf({ labels }: ImageRow): Record<string, string> {
  const parsed: unknown = JSON.parse(labels);
  return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, string>) : {};
}
