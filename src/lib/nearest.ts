import { distance } from 'fastest-levenshtein';

/** Up to three of `names` that a slip of the hand could have turned into `text`, nearest first. */
export function nearestTo(text: string, names: readonly string[]): string[] {
  const wanted = text.slice(0, 80);
  // Fewer slips than letters: else every short name would be near every other.
  const limit = Math.min(Math.max(2, Math.floor(wanted.length / 3)), wanted.length - 1);
  return names
    .filter((name) => Math.abs(name.length - wanted.length) <= limit)
    .map((name) => ({ name, distance: distance(wanted, name) }))
    .filter((candidate) => candidate.distance <= limit)
    .sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name))
    .slice(0, 3)
    .map((candidate) => candidate.name);
}
