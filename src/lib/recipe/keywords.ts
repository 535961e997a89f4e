/** How often, and with what, a flag is written. */
type FlagForm = 'value' | 'values' | 'switch';

const FROM_WHERE = {
  from: 'value',
  chown: 'value',
  chmod: 'value',
  link: 'switch',
  exclude: 'values',
} as const;

/** Instructions that a recipe carries out, and the flags that each has. */
export const INSTRUCTIONS = {
  FROM: { platform: 'value' },
  RUN: { mount: 'values', network: 'value', security: 'value' },
  COPY: { ...FROM_WHERE, parents: 'switch' },
  // Docker's has no --from; with it an archive of another stage can be unpacked.
  ADD: { ...FROM_WHERE, unpack: 'switch', checksum: 'value', 'keep-git-dir': 'switch' },
  ENV: {},
  ARG: {},
  LABEL: {},
  WORKDIR: {},
  USER: {},
  SHELL: {},
} as const satisfies Record<string, Readonly<Record<string, FlagForm>>>;

export type Keyword = keyof typeof INSTRUCTIONS;

/** Instructions about containers, and why a machine that boots its own init has no use for each. */
export const MEANINGLESS = {
  CMD: 'the machine runs its own init',
  ENTRYPOINT: 'the machine runs its own init',
  EXPOSE: 'the machine has a network of its own',
  VOLUME: 'the machine has a disk of its own',
  HEALTHCHECK: 'nothing watches the machine from outside',
  STOPSIGNAL: 'the machine is shut down by its own init',
  ONBUILD: 'an image of ours holds no instructions',
  MAINTAINER: 'an image of ours has no author; a LABEL can name one',
} as const;

export type MeaninglessKeyword = keyof typeof MEANINGLESS;

export function isKeyword(word: string): word is Keyword {
  return Object.hasOwn(INSTRUCTIONS, word);
}

export function isMeaningless(word: string): word is MeaninglessKeyword {
  return Object.hasOwn(MEANINGLESS, word);
}

/** How a flag of an instruction is written, or undefined where it has no such flag. */
export function formOf(keyword: Keyword, flag: string): FlagForm | undefined {
  const forms: Readonly<Record<string, FlagForm>> = INSTRUCTIONS[keyword];
  return Object.hasOwn(forms, flag) ? forms[flag] : undefined;
}
