import { BangerError } from '../errors.ts';
import type { Layout } from '../layout.ts';
import { nearestTo } from '../nearest.ts';
import { listImageNames, listImages, vmNamesByImage } from '../store/images.ts';
import { isRunAlive } from '../store/liveness.ts';
import { allReservations } from '../store/reservations.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Readings } from '../workspace.ts';
import { isCurrent } from './generation.ts';
import { type ImageJson, imageJson, sizeOf } from './listing.ts';
import { SORT_KEYS, type SortKey } from './sort-keys.ts';

/** One line of the list: the row, what its disks take (null: a file is missing), and who needs it. */
export type ListedImage = ImageJson & {
  allocated_bytes: number | null;
  virtual_bytes: number | null;
  in_use_by: string[];
};

export interface ListOptions {
  /** `key=value` pairs that must all hold. */
  filters: readonly string[];
  /** Earlier generations too. */
  all?: boolean | undefined;
  /** A sort key; a leading `-` turns the order around. */
  sort: string;
}

type Value = string | number | boolean | null;

type ValueOf = (image: ListedImage) => Value;

const FILTERS: Readonly<Record<string, ValueOf>> = {
  name: (image) => image.name,
  id: (image) => image.id,
  managed: (image) => image.managed,
  docker: (image) => image.docker,
  packages: (image) => image.packages_preset,
  kernel: (image) => image.kernel_version,
  base: (image) => image.base_image_name,
  in_use: (image) => image.in_use_by.length > 0,
};

const YES_OR_NO: ReadonlySet<string> = new Set(['managed', 'docker', 'in_use']);

const SORTS: Readonly<Record<SortKey, ValueOf>> = {
  name: (image) => image.name,
  created: (image) => image.created_at,
  size: (image) => image.allocated_bytes,
  virtual: (image) => image.virtual_bytes,
  kernel: (image) => image.kernel_version,
};

const FILTER_KEYS = Object.keys(FILTERS);

/** `constructor` is no key. */
function ownValue(of: Readonly<Record<string, ValueOf>>, key: string): ValueOf | undefined {
  return Object.hasOwn(of, key) ? of[key] : undefined;
}

/** Every image that passes the filters. An empty registry is an empty list. */
export function listOf(
  { store, layout }: Pick<Readings, 'store' | 'layout'>,
  options: ListOptions,
): ListedImage[] {
  const passes = options.filters.map(parseFilter);
  const order = parseSort(options.sort);
  if (store === null) return [];
  const { rows, users } = store.snapshot(() => ({
    rows: listImages(store),
    users: usersByImage(store, layout),
  }));
  return rows
    .filter((row) => options.all === true || isCurrent(row))
    .map((row) => describe(row, users.get(row.id) ?? []))
    .filter((image) => passes.every((pass) => pass(image)))
    .sort(order);
}

/** Names alone, in their order: nothing but the registry is read. */
export function namesOf(store: Store | null): string[] {
  return store === null ? [] : listImageNames(store).filter((name) => isCurrent({ name }));
}

function describe(row: ImageRow, users: string[]): ListedImage {
  const rootfs = sizeOf(row.rootfs_path);
  const workSeed = row.work_seed_path === null ? { allocated: 0, virtual: 0 } : sizeOf(row.work_seed_path);
  const whole = rootfs !== null && workSeed !== null;
  return {
    ...imageJson(row),
    allocated_bytes: whole ? rootfs.allocated + workSeed.allocated : null,
    virtual_bytes: whole ? rootfs.virtual + workSeed.virtual : null,
    in_use_by: users,
  };
}

/** A dead operation needs nothing any more, whatever it had reserved. */
function usersByImage(store: Store, layout: Layout): Map<string, string[]> {
  const users = vmNamesByImage(store);
  for (const { kind, key, operation } of allReservations(store)) {
    if (kind === 'image' && isRunAlive(layout.liveDir, operation.run_id))
      users.set(key, [...(users.get(key) ?? []), `${operation.kind} ${operation.image_name}`]);
  }
  return users;
}

function parseFilter(text: string): (image: ListedImage) => boolean {
  const [, key = text, wanted] = /^([^=]*)=(.*)$/su.exec(text) ?? [];
  const value = ownValue(FILTERS, key);
  if (value === undefined || wanted === undefined) {
    const message = `'${text}' is not a filter`;
    if (value !== undefined)
      throw new BangerError('usage', message, { hints: [`write --filter ${key}=VALUE`] });
    throw unknownKey(message, key, FILTER_KEYS, 'managed=true');
  }
  if (YES_OR_NO.has(key)) return parseYesOrNo(key, wanted, value);
  // A `*` stands for anything.
  const pattern = new RegExp(`^${wanted.split('*').map(RegExp.escape).join('.*')}$`, 'su');
  return (image) => pattern.test(String(value(image) ?? ''));
}

/** As the table and as JSON say it. */
function parseYesOrNo(key: string, wanted: string, value: ValueOf): (image: ListedImage) => boolean {
  const meaning = new Map([
    ['true', true],
    ['yes', true],
    ['false', false],
    ['no', false],
  ]).get(wanted);
  if (meaning === undefined) {
    throw new BangerError('usage', `${key} is true or false, not '${wanted}'`, {
      hints: [`write --filter ${key}=true`],
    });
  }
  return (image) => value(image) === meaning;
}

function parseSort(text: string): (a: ListedImage, b: ListedImage) => number {
  const reverse = text.startsWith('-');
  const key = reverse ? text.slice(1) : text;
  const value = ownValue(SORTS, key);
  if (value === undefined) throw unknownKey(`'${text}' is not a sort key`, key, SORT_KEYS, 'created');
  return (a, b) => compare(value(a), value(b)) * (reverse ? -1 : 1);
}

function compare(a: Value, b: Value): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return a < b ? -1 : 1;
}

function unknownKey(message: string, key: string, keys: readonly string[], example: string): BangerError {
  const [nearest] = nearestTo(key, keys);
  return new BangerError('usage', message, {
    hints: [
      ...(nearest ? [`did you mean ${nearest}?`] : []),
      `known: ${keys.join(', ')}; for example ${example}`,
    ],
  });
}
