import { messageOf, PreflightError } from '../errors.ts';
import { openRegular } from '../system/regular-file.ts';
import { oneLine, shellWord } from '../text.ts';
import { isMissing } from './artifacts.ts';

/** SHA-256 in hex and a newline. */
const CONTENT = /^[0-9a-f]{64}\n$/u;
const CONTENT_BYTES = 65;

/**
 * What the sidecar beside a rootfs, `<rootfs>.packages.sha256`, records of what was installed into it; null when there
 * is none.
 * @throws PreflightError when it holds anything else, or is no regular file: a copy would wait for a FIFO
 */
export function readPackagesSidecar(rootfs: string): string | null {
  const sidecar = `${rootfs}.packages.sha256`;
  if (isMissing(sidecar)) return null;
  const fault = (message: string): PreflightError =>
    new PreflightError('packages sidecar', [{ message, mend: `remove it: rm ${shellWord(sidecar)}` }]);
  let content: string;
  try {
    const file = openRegular(sidecar);
    try {
      content = file.readAt(0, CONTENT_BYTES + 1).toString('latin1');
    } finally {
      file.close();
    }
  } catch (error) {
    throw fault(oneLine(messageOf(error)));
  }
  if (CONTENT.test(content)) return content;
  throw fault(`${oneLine(sidecar)} does not hold one SHA-256 in hex`);
}
