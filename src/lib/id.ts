import { randomBytes } from 'node:crypto';

/** 128 random bits as 32 hex digits: random rather than by time, so that short prefixes tell images apart. */
export function newId(): string {
  return randomBytes(16).toString('hex');
}

const ID = /^[0-9a-f]{32}$/u;

export function isId(text: string): boolean {
  return ID.test(text);
}

/** As much of an id as people read. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}
