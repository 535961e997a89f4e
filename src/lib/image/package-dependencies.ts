import type { InstalledPackage } from './package-database.ts';

/**
 * For each package those of the others that it needs, in their order: of alternatives the first one that is there, by its own name
 * or by one that it provides. What is not there is left out.
 */
export function dependenciesOf(
  packages: readonly InstalledPackage[],
): Map<InstalledPackage, InstalledPackage[]> {
  const byName = new Map<string, InstalledPackage[]>();
  const add = (name: string, one: InstalledPackage): void => {
    const named = byName.get(name);
    if (named === undefined) byName.set(name, [one]);
    else named.push(one);
  };
  for (const one of packages) add(one.name, one);
  for (const one of packages) for (const name of one.provides) add(name, one);
  const order = new Map(packages.map((one, index) => [one, index]));
  return new Map(
    packages.map((one) => {
      const needed = new Set<InstalledPackage>();
      for (const group of one.depends) {
        const [found] = group.flatMap((name) => choose(byName.get(name) ?? [], one));
        if (found !== undefined && found !== one) needed.add(found);
      }
      return [one, [...needed].sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0))];
    }),
  );
}

/** Of several architectures that of the one that needs it. */
function choose(
  candidates: readonly InstalledPackage[],
  { architecture }: InstalledPackage,
): InstalledPackage[] {
  const same = candidates.find((one) => one.architecture === architecture);
  return [same ?? candidates.slice(0, 1)].flat();
}
