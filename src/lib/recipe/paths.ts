import { posix } from 'node:path';

/** A path relative to the root that it is looked up in; what would lead out of that root is cut off. */
export function pathInRoot(path: string): string {
  return posix.normalize(`/${path}`).replace(/\/$/u, '').slice(1) || '.';
}

/** The same, where `/./` marks how much of the path is kept in the target. */
export function pathWithPivot(path: string): string {
  const pivot = path.indexOf('/./');
  if (pivot === -1) return pathInRoot(path);
  const above = pathInRoot(path.slice(0, pivot));
  const below = pathInRoot(path.slice(pivot + 3));
  return above === '.' ? below : `${above}/./${below}`;
}
