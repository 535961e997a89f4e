import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';

/** A repository of Debian packages on the loopback device, which counts what it is asked for. */
export class AptRepository {
  readonly #directory: string;
  readonly #server: Server;
  /** `STATUS PATH` of each request since the last look. */
  #asked: string[] = [];
  /** Whether package files are not to be had any more. */
  isEmpty = false;

  static async make(packages: Readonly<Record<string, string>>): Promise<AptRepository> {
    const directory = await mkdtemp(join(tmpdir(), 'banger-apt-'));
    const repository = new AptRepository(directory);
    await repository.publish(packages);
    await new Promise<void>((resolve) => repository.#server.listen(0, '127.0.0.1', resolve));
    return repository;
  }

  private constructor(directory: string) {
    this.#directory = directory;
    this.#server = createServer(async (request, response) => {
      const path = (request.url ?? '').replace(/^\/(?:\.\/)?/u, '');
      const answer = (status: number, body?: Buffer, headers: Record<string, string> = {}): void => {
        this.#asked.push(`${status} ${path}`);
        response.writeHead(status, { 'content-length': String(body?.length ?? 0), ...headers }).end(body);
      };
      const file = join(directory, path);
      const found = await stat(file).catch(() => null);
      if (!found?.isFile() || (this.isEmpty && path.endsWith('.deb'))) return answer(404);
      const since = Date.parse(request.headers['if-modified-since'] ?? '');
      if (Math.floor(found.mtimeMs / 1000) * 1000 <= since) return answer(304);
      return answer(200, await readFile(file), { 'last-modified': found.mtime.toUTCString() });
    });
  }

  /** Packages, each of which is one file, `/NAME`, with some text. */
  async publish(packages: Readonly<Record<string, string>>): Promise<void> {
    const stanzas: string[] = [];
    for (const [name, text] of Object.entries(packages)) {
      const tree = join(this.#directory, 'trees', name);
      await mkdir(join(tree, 'DEBIAN'), { recursive: true });
      const control = `Package: ${name}\nVersion: 1:1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a test\n`;
      await writeFile(join(tree, 'DEBIAN/control'), control);
      await writeFile(join(tree, name), text);
      const file = `${name}_1.0_all.deb`;
      // Plain, so that a length tells nothing of the text.
      await run('dpkg-deb', ['-Znone', '--root-owner-group', '--build', tree, join(this.#directory, file)]);
      const content = await readFile(join(this.#directory, file));
      stanzas.push(`${control}Filename: ./${file}\nSize: ${content.length}\nSHA256: ${digest(content)}\n`);
    }
    const index = Buffer.from(stanzas.join('\n'));
    await writeFile(join(this.#directory, 'Packages'), index);
    const entry = ` ${digest(index)} ${index.length} Packages`;
    await writeFile(
      join(this.#directory, 'Release'),
      `Suite: test\nDate: ${new Date().toUTCString()}\nSHA256:\n${entry}\n`,
    );
  }

  get source(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `deb [trusted=yes] http://127.0.0.1:${port} ./\n`;
  }

  /** What was asked for since the last call, but for the signatures that there are not. */
  asked(): string[] {
    return this.#asked.splice(0).filter((line) => !/InRelease|Release\.gpg|Translation/u.test(line));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#directory, { recursive: true });
  }
}

function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

const PROGRAMS = [
  ...['apt-get', 'apt-cache', 'dpkg', 'dpkg-deb', 'dpkg-split', 'dpkg-query', 'tar'].map(
    (name) => `/usr/bin/${name}`,
  ),
  '/usr/sbin/start-stop-daemon',
  '/usr/lib/apt/apt-helper',
  ...['http', 'store', 'copy', 'file'].map((name) => `/usr/lib/apt/methods/${name}`),
];

/** What the smallest guest with apt has beside busybox: this machine's own, and its libraries. */
export async function makeAptTree(tree: string, source: string): Promise<void> {
  const conf = 'APT::Sandbox::User "root";\nAcquire::http::Proxy "DIRECT";\nAcquire::Languages "none";\n';
  const script = `
set -eu
tree=$1
shift
mkdir -p "$tree/etc/apt/apt.conf.d" "$tree/etc/apt/preferences.d" "$tree/etc/dpkg/dpkg.cfg.d" "$tree/usr/bin" "$tree/usr/sbin"
mkdir -p "$tree/var/lib/apt/lists/partial" "$tree/var/cache/apt/archives/partial" "$tree/var/log/apt"
mkdir -p "$tree/var/lib/dpkg/info" "$tree/var/lib/dpkg/updates" "$tree/var/lib/dpkg/triggers"
: >"$tree/var/lib/dpkg/status"
: >"$tree/var/lib/dpkg/available"
printf '#!/bin/sh\\n' >"$tree/usr/sbin/ldconfig"
chmod 755 "$tree/usr/sbin/ldconfig"
mkdir -p "$tree/usr/share/dpkg"
cp /usr/share/dpkg/*table "$tree/usr/share/dpkg"
for applet in rm diff touch; do ln -sf /bin/busybox "$tree/usr/bin/$applet"; done
{ printf '%s\\n' "$@"; ldd "$@" | sed -n 's/^.* => \\(\\/[^ ]*\\) .*/\\1/p; s/^\\t\\(\\/[^ ]*\\) .*/\\1/p'; } | sort -u | while read -r file; do
  mkdir -p "$tree\${file%/*}"
  cp -L "$file" "$tree$file"
done
`;
  await run('sh', ['-c', script, 'tree', tree, ...PROGRAMS]);
  await writeFile(join(tree, 'etc/apt/apt.conf'), conf);
  await writeFile(join(tree, 'etc/apt/sources.list'), source);
}
