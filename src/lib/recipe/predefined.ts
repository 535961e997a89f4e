/** Arguments that RUN has without an ARG, where they are given (Dockerfile reference, Predefined ARGs). */
const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'];
/** Names of machines as Node gives them, where Go has others. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  mipsel: 'mipsle',
  ppc64: 'ppc64le',
};

export function isPredefined(name: string): boolean {
  return PROXIES.includes(name.toUpperCase()) || platformArgs(new Map()).has(name);
}

/** The proxies that were given, in both cases, as BuildKit has it: curl heeds `http_proxy`, others `HTTP_PROXY`. */
export function proxiesFrom(buildArgs: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries(
    PROXIES.flatMap((upper) => {
      const lower = upper.toLowerCase();
      const given = buildArgs.get(upper) ?? buildArgs.get(lower);
      if (given === undefined) return [];
      return [
        [upper, buildArgs.get(upper) ?? given],
        [lower, buildArgs.get(lower) ?? given],
      ];
    }),
  );
}

/** `linux/amd64`: machines that are built are of the kind that builds them. */
export function machinePlatform(): string {
  return `linux/${ARCHITECTURES[process.arch] ?? process.arch}`;
}

/**
 * Arguments about the platform, which every file has from its start (Automatic platform ARGs in the global scope), with
 * those values that were given.
 */
export function platformArgs(buildArgs: ReadonlyMap<string, string>): Map<string, string> {
  const platform = machinePlatform();
  const [os = '', architecture = ''] = platform.split('/');
  const values = { PLATFORM: platform, OS: os, ARCH: architecture, VARIANT: '' };
  return new Map(
    ['TARGET', 'BUILD'].flatMap((whose) =>
      Object.entries(values).map(([what, value]) => {
        const name = `${whose}${what}`;
        return [name, buildArgs.get(name) ?? value] as const;
      }),
    ),
  );
}

/** Whether what `--platform` says is this machine: whole, or one half of it. */
export function isThisPlatform(written: string): boolean {
  const platform = machinePlatform();
  const text = written.toLowerCase().replace('x86_64', 'amd64').replace('aarch64', 'arm64');
  return text === platform || platform.split('/').includes(text) || text.startsWith(`${platform}/`);
}
