import { formatBytes, oneLine } from '../text.ts';
import type { ImageDiff } from './diff.ts';
import type { PackageChange } from './package-changes.ts';
import type { ChangedFile, FileChange } from './tree-changes.ts';

type Mark = '+' | '-' | '~';

/** One line of the report. */
interface Line {
  mark: Mark;
  what: string;
  detail: string;
  /** What it is sorted by. */
  key: string;
}

/** What `image diff` prints for people: what is below a directory that is new or gone is told by that one. */
export function diffReport({ from, to, identical, packages, files }: ImageDiff): string {
  const title = `${oneLine(from.name)} -> ${oneLine(to.name)}\n`;
  if (identical) return `${title}no difference\n`;
  const growth = files.bytes_after - files.bytes_before;
  return [
    title,
    from.kernel_version === to.kernel_version
      ? ''
      : `kernel: ${oneLine(`${from.kernel_version ?? 'unknown'} -> ${to.kernel_version ?? 'unknown'}`)}\n`,
    `packages: ${counted(packages)}\n`,
    section([
      ...packages.added.map((one) => packageLine('+', one)),
      ...packages.removed.map((one) => packageLine('-', one)),
      ...packages.changed.map((one) => packageLine('~', one)),
    ]),
    `files: ${counted(files)}; ${formatGrowth(growth)}\n`,
    section([
      ...outermost(files.added).map((one) => fileLine('+', one)),
      ...outermost(files.removed).map((one) => fileLine('-', one)),
      ...files.changed.map(changedLine),
    ]),
  ].join('');
}

function counted({ added, removed, changed }: Record<'added' | 'removed' | 'changed', unknown[]>): string {
  return `${added.length} added, ${removed.length} removed, ${changed.length} changed`;
}

function formatGrowth(bytes: number): string {
  if (bytes === 0) return 'the same size';
  return `${formatBytes(Math.abs(bytes))} ${bytes > 0 ? 'more' : 'less'}`;
}

function section(lines: readonly Line[]): string {
  return [...lines]
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(
      ({ mark, what, detail }) =>
        `  ${mark} ${oneLine(what)}${detail === '' ? '' : `  ${oneLine(detail)}`}\n`,
    )
    .join('');
}

function packageLine(mark: Mark, { name, architecture, from_version, to_version }: PackageChange): Line {
  const versions = [from_version, to_version].filter((version) => version !== null).join(' -> ');
  return { mark, what: name, detail: `${versions} (${architecture})`, key: name };
}

interface Collapsed extends FileChange {
  /** How many are below it. */
  below: number;
  /** Of its own content and of all below it, in bytes. */
  total: number;
}

/** Without what is below another of them. They are in the order of a walk: a directory is before its content. */
function outermost(changes: readonly FileChange[]): Collapsed[] {
  const found: Collapsed[] = [];
  for (const change of changes) {
    const last = found.at(-1);
    if (last?.type === 'directory' && change.path.startsWith(`${last.path}/`)) {
      last.below += 1;
      last.total += change.size ?? 0;
    } else found.push({ ...change, below: 0, total: change.size ?? 0 });
  }
  return found;
}

function fileLine(mark: Mark, { path, type, below, total }: Collapsed): Line {
  if (type !== 'directory') return { mark, what: path, detail: typed(type, total), key: path };
  const content = below === 0 ? '' : `${below} below it, ${formatBytes(total)}`;
  return { mark, what: `${path}/`, detail: content, key: path };
}

function typed(type: FileChange['type'], size: number): string {
  return type === 'file' ? formatBytes(size) : type;
}

function changedLine({ path, what, type, type_before, size, size_before }: ChangedFile): Line {
  const details = what.map((aspect) => {
    if (aspect === 'type') return `type (${type_before} -> ${type})`;
    const isResized = aspect === 'content' && size !== size_before;
    return isResized ? `content (${formatBytes(size_before ?? 0)} -> ${formatBytes(size ?? 0)})` : aspect;
  });
  return { mark: '~', what: path, detail: details.join(', '), key: path };
}
