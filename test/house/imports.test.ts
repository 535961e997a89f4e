import { describe, expect, test } from 'vitest';
import { findCycle, type Import, type ModuleGraph, readModuleGraph } from './module-graph.ts';

/** The floors of the house, from the top; a file imports from its own floor and from those below it. */
const FLOORS: readonly (readonly [name: string, files: RegExp])[] = [
  ['the program', /^src\/(?:main|index|complete|executable|oclif-config|oclif-help|not-found)\.ts$/u],
  ['commands', /^src\/commands\//u],
  ['the base command', /^src\/lib\/(?:command|build-flags)\.ts$/u],
  [
    'the domain',
    /^src\/lib\/(?:image\/|check\/|completion\/|context\/|recipe\/|doctor\/|vm\/|journal|version)/u,
  ],
  ['operations', /^src\/lib\/(?:operation|pipeline|build-log)\.ts$/u],
  ['the workspace', /^src\/lib\/(?:workspace|recovery|trash|trash-place|cached-steps|lock|config)\.ts$/u],
  ['the store', /^src\/lib\/store\//u],
  ['the tools', /^src\/lib\/(?:system|ext4|repack|machine)\//u],
  [
    'words',
    /^src\/lib\/(?:errors|error-report|finding|output|progress|text|size|id|layout|nearest|reference|side-by-side|table|turn)\.ts$/u,
  ],
];

/** Who alone may import a package: everything of its kind goes through that door. */
const DOORS: readonly (readonly [imported: RegExp, importers: RegExp])[] = [
  [
    /^@oclif\/core(?:\/|$)/u,
    /^src\/(?:oclif-config|oclif-help|lib\/(?:command|build-flags))\.ts$|^src\/commands\//u,
  ],
  [/^(?:kysely|better-sqlite3)$/u, /^src\/lib\/store\//u],
  [/^listr2$/u, /^src\/lib\/pipeline\.ts$/u],
  [/^(?:zx|node:child_process|node:cluster)$/u, /^src\/lib\/system\/process\.ts$/u],
  [/^proper-lockfile$/u, /^src\/lib\/lock\.ts$/u],
  [/^smol-toml$/u, /^src\/lib\/config\.ts$/u],
];

/** What a command must leave to the library. */
const NOT_IN_COMMANDS =
  /^node:(?:fs|fs\/promises|child_process|sqlite)$|^src\/lib\/(?:store|system|ext4|repack|machine)\//u;

function floorOf(file: string): number {
  return FLOORS.findIndex(([, files]) => files.test(file));
}

function offences({ files, imports }: ModuleGraph): string[] {
  const name = (floor: number): string => FLOORS[floor]?.[0] ?? '?';
  const shown = ({ from, to }: Import): string => `${from} imports ${to}`;
  return [
    ...files.filter((file) => floorOf(file) === -1).map((file) => `${file} is on no floor of the house`),
    ...imports
      .filter(({ from, to }) => to.startsWith('src/') && floorOf(to) < floorOf(from))
      .map((one) => `${shown(one)}: ${name(floorOf(one.from))} must not know ${name(floorOf(one.to))}`),
    ...imports
      .filter(({ from, to }) => DOORS.some(([what, who]) => what.test(to) && !who.test(from)))
      .map((one) => `${shown(one)}, which has a door of its own`),
    ...imports
      .filter(({ from, to }) => from.startsWith('src/commands/') && NOT_IN_COMMANDS.test(to))
      .map((one) => `${shown(one)}: a command parses, calls the library once and prints`),
  ];
}

describe('imports', () => {
  const graph = readModuleGraph();

  test('run one way, and through the doors', () => {
    expect(graph.files.length).toBeGreaterThan(10);
    expect(offences(graph)).toEqual([]);
  });

  test('make no cycle', () => {
    expect(findCycle(graph)).toBeUndefined();
  });

  test('would be found out if they did not', () => {
    const bad: Import[] = [
      { from: 'src/lib/system/clone.ts', to: 'src/lib/image/find.ts' },
      { from: 'src/lib/image/find.ts', to: 'kysely' },
      { from: 'src/lib/text.ts', to: 'node:child_process' },
      { from: 'src/commands/image/list.ts', to: 'node:fs' },
      { from: 'src/lib/image/show.ts', to: 'src/lib/image/find.ts' },
      { from: 'src/lib/image/find.ts', to: 'src/lib/image/show.ts' },
    ];
    const files = ['src/lib/utils.ts', ...new Set(bad.map(({ from }) => from))];
    expect(offences({ files, imports: bad })).toHaveLength(5);
    expect(findCycle({ files, imports: bad })).toHaveLength(3);
  });
});
