import { filesOf, type Ground, type Listed } from './ground.ts';

export const COMMANDS = ['register', 'build', 'promote', 'rename', 'delete'] as const;
export type Command = (typeof COMMANDS)[number];

/** A command that changes something, and how to see whether it did. */
export interface Deed {
  /** A line of the table. */
  command: `image ${Command}`;
  args: readonly string[];
  /** The managed image that it makes, with tools; or null. */
  makes: string | null;
  /** What is listed once it is done; the id of a new image is `NEW`. */
  after: readonly Listed[];
  /** How it exits when it is run once more: done already. */
  whenDone: number;
}

const NEW = 'new';

/** One of each command that changes images, on the ground's own. */
export function deedOn(ground: Ground, command: Command): Deed {
  const [args, after, whenDone] = describe(ground)[command];
  const makes = command === 'build' || command === 'promote' ? (args[0] ?? null) : null;
  return { command: `image ${command}`, args: ['image', command, ...args], makes, after, whenDone };
}

function describe({
  images,
  base,
}: Ground): Record<Command, [args: readonly string[], after: readonly Listed[], whenDone: number]> {
  const but = (name: string, change: Partial<Listed>): Listed[] =>
    images.map((image) => (image.name === name ? { ...image, ...change } : image));
  const and = (name: string, managed: boolean): Listed[] => [...images, { id: NEW, name, managed }];
  const others = images.filter(({ name }) => name !== 'kept');
  return {
    register: [['fresh', ...filesOf(base)], and('fresh', false), 0],
    build: [['built', ...['--from-image', 'base'], ...['--run', 'true']], and('built', true), 4],
    promote: [['candidate'], but('candidate', { managed: true }), 5],
    rename: [['kept', 'moved'], but('kept', { name: 'moved' }), 3],
    delete: [['kept', '--yes'], others, 3],
  };
}

/** What a list shows: the deed not done, or done; null when it is neither. */
export function stateOf(ground: Ground, deed: Deed, listed: readonly Listed[]): 'before' | 'after' | null {
  const known = new Set(ground.images.map(({ id }) => id));
  const text = (images: readonly Listed[]): string =>
    images
      .map(({ id, name, managed }) => `${name} ${managed} ${known.has(id) ? id : NEW}`)
      .sort()
      .join('\n');
  if (text(listed) === text(ground.images)) return 'before';
  return text(listed) === text(deed.after) ? 'after' : null;
}
