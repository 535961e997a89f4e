import type { Origin, Recipe, Step } from './recipe.ts';

/** Every image that a recipe takes something from, each once: what has to be there before it is carried out. */
export function imagesOf({ stages }: Recipe): string[] {
  const origins = stages.flatMap(({ from, steps }) => [from, ...steps.flatMap(originsOf)]);
  return [...new Set(origins.flatMap((origin) => (origin.kind === 'image' ? [origin.ref] : [])))];
}

/** What one step takes files from. */
export function originsOf(step: Step): (Origin | { kind: 'context' })[] {
  switch (step.kind) {
    case 'copy':
      return [step.from];
    case 'run':
      return step.mounts.flatMap((mount) => {
        if (mount.type === 'bind') return [mount.from];
        return mount.type === 'cache' && mount.from ? [mount.from.origin] : [];
      });
    case 'workdir':
      return [];
  }
}
