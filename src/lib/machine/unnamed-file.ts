import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface UnnamedFile {
  /** By which programs that we start can open it, as long as it is not closed. */
  path: string;
  close(): void;
}

/** A file with no name, which is gone when we are. */
export function unnamedFile(content: Buffer): UnnamedFile {
  const directory = mkdtempSync(join(tmpdir(), 'banger-'));
  let file: number;
  try {
    file = openSync(join(directory, 'file'), 'wx+', 0o600);
  } finally {
    // Nothing is awaited in between: only a kill just now leaves it.
    rmSync(directory, { recursive: true });
  }
  try {
    for (let written = 0; written < content.length; ) written += writeSync(file, content, written);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  return { path: `/proc/${process.pid}/fd/${file}`, close: () => closeSync(file) };
}
