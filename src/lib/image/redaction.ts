import { LINE_LIMIT } from '../system/process.ts';
import { stripControl } from '../text.ts';

/** In place of what must not be seen. */
const BLOTTED = '***';
/** Shorter lines of a secret stand in too much that is none, in characters. */
const TELLING = 8;
/** Where base64(1) breaks its lines. */
const BASE64_WIDTH = 76;

/** Takes the values of secrets out of what a command prints. */
export class Redaction {
  readonly #needles: readonly string[];

  constructor(secrets: readonly Buffer[]) {
    const needles = new Set(secrets.flatMap(tracesOf));
    needles.delete('');
    // The longest first: a value may be the beginning of another one.
    this.#needles = [...needles].sort((a, b) => b.length - a.length);
  }

  /** The longest thing that is looked for, in characters: what comes in pieces has to overlap by that. */
  get longest(): number {
    return this.#needles[0]?.length ?? 0;
  }

  apply(text: string): string {
    return this.#needles.reduce((rest, needle) => rest.replaceAll(needle, BLOTTED), text);
  }
}

export const NOTHING_SECRET = new Redaction([]);

/** Makes the lines of a command safe to be seen: those that come in pieces, too. */
export class RedactedOutput {
  readonly #redaction: Redaction;
  readonly #tell: (line: string) => void;
  /** By stream, the end of a piece, in which a value may have begun. */
  readonly #held = new Map<string, string>();

  constructor(redaction: Redaction, tell: (line: string) => void) {
    this.#redaction = redaction;
    this.#tell = tell;
  }

  take(line: string, stream: string): void {
    // Again without its control characters, which a value may have had between its own.
    const text = this.#redaction.apply(
      stripControl(this.#redaction.apply((this.#held.get(stream) ?? '') + line)),
    );
    const kept = line.length === LINE_LIMIT ? Math.max(0, this.#redaction.longest - 1) : 0;
    this.#held.set(stream, text.slice(text.length - kept));
    this.#tell(text.slice(0, text.length - kept));
  }

  end(): void {
    for (const text of this.#held.values()) if (text !== '') this.#tell(text);
    this.#held.clear();
  }
}

/** What a secret may show itself as: itself, without the newline that a file ends with; each of its lines; in base64. */
function tracesOf(secret: Buffer): string[] {
  const text = secret.toString('utf8');
  const whole = text.replace(/[\r\n]+$/u, '');
  const lines = whole.split(/\r?\n/u).filter((line) => line.length >= TELLING);
  const encoded = [secret, Buffer.from(whole)].map((bytes) => bytes.toString('base64').replace(/=+$/u, ''));
  return [whole, ...lines, ...encoded.flatMap(encodedTraces)];
}

function encodedTraces(encoded: string): string[] {
  const rows = encoded.match(new RegExp(`.{1,${BASE64_WIDTH}}`, 'gu')) ?? [];
  return [encoded, ...rows].filter((row) => row.length >= TELLING);
}
