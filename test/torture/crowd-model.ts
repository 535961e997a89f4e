/** What one process of the crowd was told. Times are milliseconds since the epoch, around its whole life. */
export interface Told {
  verb: 'register' | 'build' | 'promote' | 'rename' | 'delete' | 'list' | 'show';
  /** The name it was given; of a rename, the old one. */
  name: string;
  /** The name that a rename gives. */
  newName?: string;
  status: number;
  began: number;
  ended: number;
  /** What it was told of an image, when it succeeded. */
  image?: ToldImage;
  /** `registered`, or `updated` when the name was there. */
  outcome?: string;
}

export interface ToldImage {
  id: string;
  name: string;
  managed: boolean;
}

/** An image's life as the processes that had to do with it were told: what none was told of did not happen. */
interface Life {
  born: Told;
  renames: Told[];
  others: Told[];
  promoted: Told[];
  deleted: Told[];
}

function livesOf(told: readonly Told[]): { lives: Map<string, Life>; complaints: string[] } {
  const done = told.filter(({ status, image }) => status === 0 && image !== undefined);
  const lives = new Map<string, Life>();
  const complaints: string[] = [];
  for (const one of done) {
    if (one.verb !== 'build' && !(one.verb === 'register' && one.outcome === 'registered')) continue;
    const id = one.image?.id ?? '';
    if (lives.has(id)) complaints.push(`two were told that they made ${id}`);
    lives.set(id, { born: one, renames: [], others: [], promoted: [], deleted: [] });
  }
  for (const one of done) {
    const life = lives.get(one.image?.id ?? '');
    if (life === undefined)
      complaints.push(`${one.verb} ${one.name} met ${one.image?.id}, which nobody made`);
    else if (one.verb === 'rename') life.renames.push(one);
    else if (one.verb === 'promote') life.promoted.push(one);
    else if (one.verb === 'delete') life.deleted.push(one);
    else if (one !== life.born) life.others.push(one);
  }
  return { lives, complaints };
}

/**
 * The name that an image has after all its renames, whatever their order was: each leads from one name to another, so
 * together they are a walk, whose end is where more steps arrive than leave; none such, and it has come back.
 */
function lastName(life: Life): string | null {
  const balance = new Map<string, number>();
  const first = life.born.image?.name ?? '';
  const add = (name: string, by: number): void => void balance.set(name, (balance.get(name) ?? 0) + by);
  for (const { name, newName = '' } of life.renames) {
    add(name, -1);
    add(newName, 1);
  }
  add(first, 1);
  const open = [...balance].filter(([, by]) => by !== 0);
  const [only] = open;
  return open.length === 1 && only?.[1] === 1 ? only[0] : null;
}

/** Whether names were held by images that lived at one time for certain. */
function overlapsOf(told: readonly Told[], lives: ReadonlyMap<string, Life>): string[] {
  // For certain: from the end of the process that made it to the beginning of the first that touched its name again.
  const spans = [...lives.values()].map((life) => ({
    id: life.born.image?.id,
    name: life.born.image?.name,
    from: life.born.ended,
    to: Math.min(Number.POSITIVE_INFINITY, ...[...life.renames, ...life.deleted].map(({ began }) => began)),
  }));
  return [
    ...spans.flatMap((one, index) =>
      spans
        .slice(index + 1)
        .filter((other) => other.name === one.name && other.from < one.to && one.from < other.to)
        .map((other) => `${one.id} and ${other.id} were both named ${one.name}`),
    ),
    ...told
      .filter(({ status, verb }) => status === 3 && verb !== 'build' && verb !== 'list')
      .flatMap((one) =>
        spans
          .filter(({ name, from, to }) => name === one.name && from < one.began && one.ended < to)
          .map(({ id }) => `${one.verb} ${one.name} was told that there is none, and there was ${id}`),
      ),
  ];
}

/**
 * Compares a registry with what every process that changed it was told. A process that failed says that it changed
 * nothing; one that succeeded, that what it says came about, once.
 */
export function compareWithTold(told: readonly Told[], registry: readonly ToldImage[]): string[] {
  const { lives, complaints } = livesOf(told);
  const present = new Map(registry.map((image) => [image.id, image]));
  for (const { id, name } of registry) {
    if (!lives.has(id)) complaints.push(`${name} (${id}) is there, and nobody was told that it was made`);
  }
  for (const [id, life] of lives) {
    const { born, deleted, promoted } = life;
    const name = lastName(life);
    if (name === null) complaints.push(`the renames of ${id} are no walk from ${born.image?.name}`);
    if (deleted.length > 1) complaints.push(`${id} was deleted ${deleted.length} times`);
    if (promoted.length > 1 || (promoted.length === 1 && born.verb === 'build'))
      complaints.push(`${id} became managed more than once`);
    const [end] = deleted;
    const found = present.get(id);
    if (end !== undefined) {
      if (found !== undefined) complaints.push(`${id} was deleted and is there`);
      if (name !== null && end.image?.name !== name)
        complaints.push(`${id} was deleted as ${end.image?.name}, and last named ${name}`);
      continue;
    }
    if (found === undefined) complaints.push(`${name} (${id}) was made, never deleted, and is gone`);
    else if (name !== null && found.name !== name)
      complaints.push(`${id} is ${found.name}, and should be ${name}`);
    const managed = born.verb === 'build' || promoted.length > 0;
    if (found !== undefined && found.managed !== managed)
      complaints.push(`${name} (${id}) is ${found.managed ? '' : 'not '}managed`);
  }
  return [...complaints, ...overlapsOf(told, lives)];
}
