import { posix } from 'node:path';
import { nearestTo } from '../nearest.ts';
import { didYouMean, mistake, shown } from './faults.ts';
import { type MountField, mountFields } from './mount-fields.ts';
import { MountOptions } from './mount-options.ts';
import { pathInRoot } from './paths.ts';
import type { BindMount, CacheMount, Mount, SecretMount, TmpfsMount } from './recipe.ts';
import type { StageState } from './stage-state.ts';
import type { Surroundings } from './surroundings.ts';

/** The keys that each type of mount has. */
const KEYS = {
  bind: ['from', 'source', 'target', 'readonly', 'readwrite'],
  cache: ['id', 'target', 'sharing', 'from', 'source', 'readonly', 'readwrite', 'mode', 'uid', 'gid'],
  tmpfs: ['target', 'size'],
  secret: ['id', 'source', 'target', 'env', 'required', 'mode', 'uid', 'gid'],
} as const satisfies Record<Mount['type'], readonly string[]>;

/** A `--mount` of RUN (Dockerfile reference, RUN --mount). */
export function readMount(text: string, state: StageState, around: Surroundings): Mount {
  const fields = mountFields(text);
  const type = typeOf(fields);
  const known: readonly string[] = KEYS[type];
  for (const { key, written } of fields) {
    if (key !== 'type' && !known.includes(key)) {
      throw mistake(
        `a mount of type ${type} has no ${shown(written)}`,
        ...didYouMean(nearestTo(key, known)),
        `it has ${known.join(', ')}`,
      );
    }
  }
  const options = new MountOptions(fields, (word) => state.expand(word, around.escaper), state.cwd);
  switch (type) {
    case 'bind':
      return readBind(options, around);
    case 'cache':
      return readCache(options, around);
    case 'tmpfs':
      return { type, target: options.target(), size: options.bytes('size') } satisfies TmpfsMount;
    case 'secret':
      return readSecret(options);
  }
}

function typeOf(fields: readonly MountField[]): Mount['type'] {
  const written = fields.find(({ key }) => key === 'type')?.value ?? 'bind';
  const types = Object.keys(KEYS) as Mount['type'][];
  const type = types.find((one) => one === written.toLowerCase());
  if (type) return type;
  throw mistake(
    `there are no mounts of type ${shown(written)}`,
    ...didYouMean(nearestTo(written, types)),
    `types of mounts are ${types.join(', ')}`,
  );
}

function readBind(options: MountOptions, around: Surroundings): BindMount {
  const from = options.written('from');
  return {
    type: 'bind',
    from: from === undefined ? { kind: 'context' } : around.stages.originOf(from, around.index),
    source: pathInRoot(options.text('source') ?? '.'),
    target: options.target(),
    readonly: options.isReadonly(true),
  };
}

function readCache(options: MountOptions, around: Surroundings): CacheMount {
  const from = options.written('from');
  const source = options.text('source');
  const target = options.target();
  if (from === undefined && source !== undefined)
    throw mistake('source in a cache is of no use without from');
  return {
    type: 'cache',
    id: options.text('id') || target,
    target,
    readonly: options.isReadonly(false),
    sharing: options.oneOf('sharing', ['shared', 'private', 'locked']),
    from:
      from === undefined
        ? null
        : { origin: around.stages.originOf(from, around.index), source: pathInRoot(source ?? '.') },
    mode: options.mode(0o755),
    uid: options.id('uid'),
    gid: options.id('gid'),
  };
}

function readSecret(options: MountOptions): SecretMount {
  const env = options.text('env') || null;
  const target = options.optionalTarget();
  const id = options.text('id') || options.text('source') || (target === null ? '' : posix.basename(target));
  if (id === '') throw mistake('a secret has neither id nor target', 'write --mount=type=secret,id=NAME');
  const name = posix.basename(id);
  if (name === '' || name === '.' || name === '..') throw mistake('the id of a secret is not a name');
  return {
    type: 'secret',
    id,
    target: target ?? (env === null ? `/run/secrets/${name}` : null),
    env,
    required: options.isTrue('required'),
    mode: options.mode(0o400),
    uid: options.id('uid'),
    gid: options.id('gid'),
  };
}
