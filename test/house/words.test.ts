import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { readTracked, trackedFiles } from './tracked-files.ts';

/** Files whose text is not ours. */
const NOT_OURS = /^(?:package-lock\.json|LICENSE|.*\.snap)$/u;
/** This file has to name them. */
const THIS_FILE = 'test/house/words.test.ts';

const BANNED: readonly RegExp[] = [
  /\b(?:TODO|FIXME|XXX)\b/u,
  /\bissue #?\d/iu,
  /\/work\/(?:main|shared|\.library)/u,
  /\b[a-z0-9.-]*\.debian\.org\b/iu,
  /\bregistry\.npmjs/iu,
  /@ts-(?:ignore|nocheck)/u,
];

/** Names that say nothing about what is inside. */
const EMPTY_NAMES = /^(?:utils?|helpers?|common|misc|manager|shared)\b/u;

function hostsOf(text: string): string[] {
  return [...text.matchAll(/https?:\/\/([a-z0-9.-]+)/giu)].flatMap(([, host]) => host?.toLowerCase() ?? []);
}

/** The hosts that this machine installs packages from: nobody else's business. */
async function packageHosts(): Promise<string[]> {
  const npm = await run('npm', ['config', 'get', 'registry'], { okExit: 'any' });
  const apt = globSync(['/etc/apt/sources.list', '/etc/apt/sources.list.d/*.{list,sources}']);
  const active = apt.map((file) => readFileSync(file, 'utf8').replace(/^\s*#.*$/gmu, ''));
  return [...new Set(hostsOf([npm.stdout, ...active].join('\n')))];
}

describe('words', async () => {
  const files = (await trackedFiles()).filter((file) => !NOT_OURS.test(file) && file !== THIS_FILE);

  test('of a workshop and its machines are in no file', () => {
    const found = files.flatMap((file) =>
      readTracked(file)
        .split('\n')
        .flatMap((line, index) =>
          BANNED.some((word) => word.test(line)) ? [`${file}:${index + 1}: ${line}`] : [],
        ),
    );
    expect(found).toEqual([]);
  });

  test('name no host that packages come from here', async () => {
    const hosts = await packageHosts();
    const text = [...files, 'package-lock.json'];
    expect(text.filter((file) => hosts.some((host) => readTracked(file).includes(host)))).toEqual([]);
    expect(readTracked('package-lock.json')).not.toContain('"resolved"');
  });

  test('that say nothing name no file', () => {
    expect(files.filter((file) => EMPTY_NAMES.test(basename(file)))).toEqual([]);
  });
});

test('every relative link in a document leads somewhere', async () => {
  const files = await trackedFiles();
  const all = new Set([...files, ...files.flatMap((file) => ancestors(file))]);
  const broken = files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) =>
      linksIn(readTracked(file))
        .filter(({ path, anchor }) => {
          const target = path === '' ? file : resolveFrom(file, path);
          if (!all.has(target)) return true;
          return anchor !== undefined && !anchorsIn(readTracked(target)).has(anchor);
        })
        .map(({ link }) => `${file}: ${link}`),
    );
  expect(broken).toEqual([]);
});

function ancestors(file: string): string[] {
  const parts = file.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

function resolveFrom(file: string, path: string): string {
  return decodeURIComponent(new URL(path, `file:///${file}`).pathname).replace(/^\/|\/$/gu, '');
}

function linksIn(markdown: string): { link: string; path: string; anchor: string | undefined }[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gmu, '').replace(/`[^`\n]*`/gu, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/gu)]
    .flatMap(([, link]) => link ?? [])
    .filter((link) => !/^[a-z]+:/u.test(link))
    .map((link) => {
      const [path = '', anchor] = link.split('#');
      return { link, path, anchor };
    });
}

/** Heading anchors as forges make them: lower case, punctuation dropped, spaces as hyphens. */
function anchorsIn(markdown: string): Set<string> {
  const headings = [...markdown.matchAll(/^#{1,6} +(.+)$/gmu)].flatMap(([, heading]) => heading ?? []);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
