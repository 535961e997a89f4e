// Makes the Debian package, a tarball and SHA256SUMS in dist/ from dist/banger.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { gzipSync } from 'node:zlib';
import { completionScript, type Shell } from '../../src/lib/completion/scripts.ts';
import { toolPackages } from '../../src/lib/doctor/tools.ts';
import { run } from '../../src/lib/system/process.ts';
import { type ManualCommand, manPages } from './man-pages.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const WORK = join(ROOT, '.cache/package');
/** As Debian names what Node calls by another name. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
/** Libraries that Node's binary is linked with (ldd); of any Debian since 12. */
const LIBRARIES = ['libc6 (>= 2.28)', 'libgcc-s1', 'libstdc++6'];
const COMPLETIONS: Readonly<Record<Shell, string>> = {
  bash: 'usr/share/bash-completion/completions/banger',
  zsh: 'usr/share/zsh/vendor-completions/_banger',
  fish: 'usr/share/fish/vendor_completions.d/banger.fish',
};

interface Package {
  version: string;
  description: string;
}

const { version, description } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Package;
const { commands } = JSON.parse(await readFile(join(ROOT, 'oclif.manifest.json'), 'utf8')) as {
  commands: Record<string, ManualCommand>;
};
const architecture = ARCHITECTURES[process.arch];
if (architecture === undefined) throw new Error(`Debian has no ${process.arch}`);
const git = ['-C', ROOT, '-c', `safe.directory=${ROOT}`];
const { stdout: committed } = await run('git', [...git, 'log', '-1', '--format=%ct'], { okExit: 'any' });
/** Every file's time, so that one commit always makes the same package (reproducible-builds.org, SOURCE_DATE_EPOCH). */
const date = Number(process.env.SOURCE_DATE_EPOCH ?? (committed.trim() || 0));

const tree = join(WORK, 'tree');
await rm(WORK, { recursive: true, force: true });

async function place(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const file = join(tree, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  await chmod(file, mode);
}

const zipped = (content: string | Uint8Array): Uint8Array => gzipSync(content, { level: 9 });

await mkdir(join(tree, 'usr/bin'), { recursive: true });
await copyFile(join(ROOT, 'dist/banger'), join(tree, 'usr/bin/banger'));
await chmod(join(tree, 'usr/bin/banger'), 0o755);
const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
const [, codes = ''] = /## Exit codes\n([\s\S]*?)\n## /u.exec(readme) ?? [];
const exitCodes = [...codes.matchAll(/^\| ([\d, ]+) \| [^|]*\| (.*) \|$/gmu)].map(
  ([, status = '', meaning = '']) => [status, meaning.replaceAll('`', '')] as const,
);
for (const [name, page] of manPages({ version, date, description, commands, exitCodes })) {
  await place(`usr/share/man/man1/${name}.gz`, zipped(page));
}
for (const [shell, path] of Object.entries(COMPLETIONS)) await place(path, completionScript(shell as Shell));
await place('usr/share/doc/banger/copyright', await readFile(join(ROOT, 'LICENSE')));
await place('usr/share/doc/banger/changelog.gz', zipped(await readFile(join(ROOT, 'CHANGELOG.md'))));

const { stdout: used } = await run('du', ['-sk', '--apparent-size', tree]);
const { needed, useful, suggested } = toolPackages();
await place(
  'DEBIAN/control',
  `Package: banger
Version: ${version}
Architecture: ${architecture}
Maintainer: the banger authors <banger@localhost>
Installed-Size: ${Number.parseInt(used, 10)}
Depends: ${[...LIBRARIES, ...needed].join(', ')}
Recommends: ${useful.join(', ')}
Suggests: ${suggested.join(', ')}
Section: admin
Priority: optional
Description: ${description.replace(/^./u, (letter) => letter.toLowerCase())}
 Registers, builds, promotes, checks and deletes boot sets (root filesystem,
 kernel, initrd, modules and a work seed) for Firecracker and QEMU microvm,
 as root and as an ordinary user.
`,
);
const { stdout: everything } = await run('find', [tree, '-depth', '-print0']);
for (const path of everything.split('\0').filter((one) => one !== '')) {
  if ((await run('test', ['-d', path], { okExit: 'any' })).exitCode === 0) await chmod(path, 0o755);
  await utimes(path, date, date);
}

const deb = join(ROOT, `dist/banger_${version}_${architecture}.deb`);
await run('dpkg-deb', ['--build', '--root-owner-group', '-Zzstd', '-z12', tree, deb], {
  env: { SOURCE_DATE_EPOCH: String(date) },
});
const tarball = join(ROOT, `dist/banger-${version}-linux-${architecture}.tar.gz`);
const tar = [
  '--sort=name',
  `--mtime=@${date}`,
  '--owner=0',
  '--group=0',
  '--numeric-owner',
  '--exclude=./DEBIAN',
];
await run('sh', [
  '-c',
  'out=$1; shift; tar "$@" | gzip -n >"$out"',
  'sh',
  tarball,
  ...tar,
  '-C',
  tree,
  '-cf',
  '-',
  '.',
]);
const sums: string[] = [];
for (const file of [deb, tarball]) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  sums.push(`${hash.digest('hex')}  ${basename(file)}\n`);
  process.stdout.write(`${file.slice(ROOT.length + 1)}\n`);
}
await writeFile(join(ROOT, 'dist/SHA256SUMS'), sums.join(''));
process.stdout.write('dist/SHA256SUMS\n');
