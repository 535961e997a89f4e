import { oneLine } from './text.ts';

/** Rows of cells under a header, in columns two spaces apart, as plain text. Cells are made safe to print. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows].map((row) => row.map(oneLine));
  const widths = header.map((_, column) =>
    lines.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  );
  return lines
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Names and values below each other, the values aligned. Pairs without a value are left out. */
export function formatPairs(pairs: readonly (readonly [string, string | null])[]): string {
  const present = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null);
  const width = present.reduce((widest, [name]) => Math.max(widest, name.length), 0);
  return present.map(([name, value]) => `${`${name}:`.padEnd(width + 2)}${oneLine(value)}\n`).join('');
}
