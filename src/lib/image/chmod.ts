const SETUID = 0o4000;
const SETGID = 0o2000;
const STICKY = 0o1000;
/** Whose bits a clause without `ugoa` leaves alone (chmod(1)). */
const UMASK = 0o022;
const CLAUSE = /^(?<who>[ugoa]*)(?<actions>.+)$/u;
const ACTION = /(?<operator>[-+=])(?<what>[rwxXst]*|[ugo])(?=[-+=]|$)/gu;
const SHIFT = { u: 6, g: 3, o: 0 } as const;
const BITS = { r: 4, w: 2, x: 1 } as const;

/** The mode that chmod(1) would make of another, by an octal number or by clauses: `u=rwX,go-w`. */
export function changeMode(spec: string, mode: number, isDirectory: boolean): number {
  if (/^[0-7]+$/u.test(spec)) return Number.parseInt(spec, 8) & 0o7777;
  return spec.split(',').reduce((changed, clause) => applyClause(clause, changed, isDirectory), mode);
}

function applyClause(clause: string, mode: number, isDirectory: boolean): number {
  const { who = '', actions = '' } = CLAUSE.exec(clause)?.groups ?? {};
  const named = who === '' || who.includes('a') ? 'ugo' : who;
  let changed = mode;
  for (const { groups } of actions.matchAll(ACTION)) {
    const { operator = '', what = '' } = groups ?? {};
    const free = who === '' ? ~UMASK : ~0;
    const bits = bitsOf(what, named, changed, isDirectory) & free;
    if (operator === '-') changed &= ~bits;
    else if (operator === '+') changed |= bits;
    else changed = (changed & ~scopeOf(named, isDirectory)) | bits;
  }
  return changed;
}

/** All bits that `=` sets anew. A directory keeps setuid and setgid, as with GNU's chmod. */
function scopeOf(named: string, isDirectory: boolean): number {
  let scope = 0;
  for (const who of ['u', 'g', 'o'] as const) if (named.includes(who)) scope |= 7 << SHIFT[who];
  if (named.includes('o')) scope |= STICKY;
  if (isDirectory) return scope;
  if (named.includes('u')) scope |= SETUID;
  if (named.includes('g')) scope |= SETGID;
  return scope;
}

function bitsOf(what: string, named: string, mode: number, isDirectory: boolean): number {
  let bits = 0;
  const forAll = (three: number): void => {
    for (const who of ['u', 'g', 'o'] as const) if (named.includes(who)) bits |= three << SHIFT[who];
  };
  for (const letter of what) {
    switch (letter) {
      case 'u':
      case 'g':
      case 'o':
        forAll((mode >> SHIFT[letter]) & 7);
        break;
      case 'r':
      case 'w':
      case 'x':
        forAll(BITS[letter]);
        break;
      case 'X':
        if (isDirectory || (mode & 0o111) !== 0) forAll(BITS.x);
        break;
      case 's':
        if (named.includes('u')) bits |= SETUID;
        if (named.includes('g')) bits |= SETGID;
        break;
      case 't':
        bits |= STICKY;
    }
  }
  return bits;
}
