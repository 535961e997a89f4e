// Writes what the program says of itself: docs/reference.md and the table in README.md from its help, and
// docs/sandbox-limits.md from what it knows that a build cannot do.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from '../src/lib/system/process.ts';
import { limitsFor } from '../src/lib/system/sandbox-limits.ts';

const root = resolve(import.meta.dirname, '..');
const TABLE = /(<!-- commands: written by npm run manifest -->\n)[\s\S]*?(<!-- end of commands -->)/u;

interface Manifest {
  commands: Record<string, { summary?: string; hidden?: boolean }>;
}

const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as Manifest;
const commands = Object.entries(manifest.commands)
  .filter(([, { hidden }]) => !hidden)
  .map(([id, { summary = '' }]) => ({
    name: ['banger', ...id.split(':')].join(' '),
    words: id.split(':'),
    summary,
  }))
  .sort((a, b) => a.name.localeCompare(b.name));

async function helpOf(words: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(root, 'bin/run.js'), ...words, '--help'], {
    env: { COLUMNS: '80', NO_COLOR: '1' },
  });
  return stdout
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
}

const anchor = (name: string): string => name.replaceAll(' ', '-');
const sections = await Promise.all(
  commands.map(async ({ name, words }) => `## ${name}\n\n\`\`\`\n${await helpOf(words)}\n\`\`\`\n`),
);
const reference = `# Commands\n\nWritten from each command's \`--help\` by \`npm run manifest\`.\n\n${sections.join('\n')}`;
const rows = commands.map(
  ({ name, summary }) => `| [\`${name}\`](docs/reference.md#${anchor(name)}) | ${summary} |\n`,
);
const readme = readFileSync(join(root, 'README.md'), 'utf8').replace(
  TABLE,
  (_, before: string, after: string) => `${before}| | |\n|---|---|\n${rows.join('')}${after}`,
);

const limits = (wanted: 'fuse' | 'all'): string =>
  limitsFor('fuse')
    .filter((limit) => limit.for === wanted)
    .map(({ what }) => `- ${what}\n`)
    .join('');
const limitsPage = `# What a build cannot do

The steps of a build run in a sandbox, unless \`--builder vm\` has them run in a virtual machine, where none of this holds.
A build's log says so when a step runs into one of these;
\`banger doctor\` lists the second kind. Written by \`npm run manifest\`.

## Whoever builds

${limits('all')}
## When an ordinary user builds, through fuse2fs

${limits('fuse')}`;

const stale = [
  { file: 'docs/sandbox-limits.md', text: limitsPage },
  { file: 'docs/reference.md', text: reference },
  { file: 'README.md', text: readme },
].filter(({ file, text }) => {
  if (!process.argv.includes('--check')) writeFileSync(join(root, file), text);
  return readFileSync(join(root, file), 'utf8') !== text;
});
if (stale.length > 0) {
  process.stderr.write(`stale: ${stale.map(({ file }) => file).join(', ')}; to mend it: npm run manifest\n`);
  process.exitCode = 1;
}
