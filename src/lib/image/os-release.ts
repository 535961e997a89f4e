import { readFile } from '../ext4/lookup.ts';
import type { Volume } from '../ext4/volume.ts';

/** In the order in which they count (os-release(5)). */
const PLACES = ['/etc/os-release', '/usr/lib/os-release'];
const MAX_BYTES = 64 * 1024;

export interface OsRelease {
  /** Such as `debian`. */
  id: string;
  /** Such as `12`; null for what has no releases. */
  version: string | null;
  /** As people read it. */
  name: string;
}

/** Which distribution an image holds; null when it does not say. */
export function readOsRelease(volume: Volume): OsRelease | null {
  for (const place of PLACES) {
    const text = readFile(volume, place, { limit: MAX_BYTES })?.toString();
    if (text !== undefined) return parse(text);
  }
  return null;
}

function parse(text: string): OsRelease | null {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, key = '', value = ''] = /^([A-Z0-9_]+)=(.*)$/u.exec(line.trim()) ?? [];
    if (key !== '') fields.set(key, unquoted(value));
  }
  const id = fields.get('ID');
  if (!id) return null;
  return { id, version: fields.get('VERSION_ID') || null, name: fields.get('PRETTY_NAME') || id };
}

/** As a shell reads an assignment, without expansions. */
function unquoted(value: string): string {
  const [, quote, inside = value] = /^(["'])(.*)\1$/u.exec(value) ?? [];
  return quote === "'" ? inside : inside.replace(/\\(.)/gu, '$1');
}
