import { isUtf8 } from 'node:buffer';
import { readdirSync, readlinkSync } from 'node:fs';

// A name is any bytes but NUL and `/` (path_resolution(7)). Here it is text: UTF-8 decoded, and each byte that is none as a
// lone surrogate U+DC80 to U+DCFF (PEP 383), so that no two names become one and each leads back to its file.

const ASCII = /^[\u0000-\u007f]*$/u;
const NOT_UTF8 = /([\udc80-\udcff])/u;
const LOW_SURROGATES = 0xdc00;
/** The longest UTF-8 sequence, in bytes (RFC 3629). */
const LONGEST = 4;

/** The text of a name. */
export function textOfName(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    text +=
      length === 0
        ? String.fromCharCode(LOW_SURROGATES + bytes.readUInt8(at))
        : bytes.toString('utf8', at, at + length);
    at += Math.max(1, length);
  }
  return text;
}

/** How many bytes make one character; 0 where none begins. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= LONGEST && at + length <= bytes.length; length += 1) {
    if (isUtf8(bytes.subarray(at, at + length))) return length;
  }
  return 0;
}

/** The bytes of a name, or of a path of such names. */
export function bytesOfName(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text);
  return Buffer.concat(
    text
      .split(NOT_UTF8)
      .map((part) =>
        NOT_UTF8.test(part) ? Buffer.of(part.charCodeAt(0) - LOW_SURROGATES) : Buffer.from(part),
      ),
  );
}

/** A path of such names as node:fs takes it. */
export function fsPath(path: string): string | Buffer {
  return path.isWellFormed() ? path : bytesOfName(path);
}

/** Of latin1, which is one character a byte. */
function fromLatin1(name: string): string {
  return ASCII.test(name) ? name : textOfName(Buffer.from(name, 'latin1'));
}

/** The names in a directory, in the order of their bytes. */
export function readNames(directory: string): string[] {
  const names = readdirSync(fsPath(directory), 'latin1').sort();
  return names.every((name) => ASCII.test(name)) ? names : names.map(fromLatin1);
}

/** What a symbolic link says. */
export function readLink(path: string): string {
  return fromLatin1(readlinkSync(fsPath(path), 'latin1'));
}
