/** As much of oclif.manifest.json as a manual page tells. */
export interface ManualCommand {
  summary?: string;
  description?: string;
  examples?: readonly string[];
  hidden?: boolean;
  strict?: boolean;
  args: Readonly<Record<string, { name: string; description?: string; required?: boolean }>>;
  flags: Readonly<
    Record<
      string,
      {
        name: string;
        char?: string;
        type: string;
        description?: string;
        helpValue?: string | readonly string[];
        options?: readonly string[];
        default?: unknown;
        required?: boolean;
        multiple?: boolean;
        hidden?: boolean;
      }
    >
  >;
}

export interface Manual {
  version: string;
  /** Seconds since the epoch, for the pages' date. */
  date: number;
  description: string;
  commands: Readonly<Record<string, ManualCommand>>;
  /** Exit status and what it means. */
  exitCodes: readonly (readonly [status: string, meaning: string])[];
}

/** Text for roff: nothing in it is a request or an escape (groff(7)). */
function text(plain: string): string {
  return plain
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replace(/^\./gmu, '\\&.');
}

const bold = (plain: string): string => `\\fB${text(plain)}\\fR`;
const italic = (plain: string): string => `\\fI${text(plain)}\\fR`;
const pageOf = (id: string): string => ['banger', ...id.split(':')].join('-');
const commandOf = (id: string): string => ['banger', ...id.split(':')].join(' ');

function head(name: string, { version, date }: Manual): string {
  const day = new Date(date * 1000).toISOString().slice(0, 10);
  return `.TH ${name.toUpperCase()} 1 "${day}" "banger ${version}" "User Commands"\n.nh\n.ad l\n`;
}

function section(title: string, body: string): string {
  return body === '' ? '' : `.SH ${title}\n${body}`;
}

const item = (term: string, body: string): string => `.TP\n${term}\n${body}\n`;

type Flag = ManualCommand['flags'][string];

function shownValue({ helpValue, options }: Flag): string {
  if (options !== undefined) return options.map(bold).join('|');
  return italic(String(helpValue ?? 'VALUE'));
}

function optionItem(flag: Flag): string {
  const { name, char, type, description = '', default: standard } = flag;
  const long = `\\fB\\-\\-${text(name)}\\fR${type === 'option' ? `=${shownValue(flag)}` : ''}`;
  const note = ['string', 'number'].includes(typeof standard) ? ` [default: ${text(String(standard))}]` : '';
  return item(char === undefined ? long : `\\fB\\-${char}\\fR, ${long}`, `${text(description)}${note}`);
}

function synopsis(id: string, { args, flags, strict }: ManualCommand): string {
  const words = Object.values(args).map(({ name, required }) => {
    const word = italic(name.toUpperCase()) + (strict === false ? '...' : '');
    return required ? word : `[${word}]`;
  });
  const required = Object.values(flags)
    .filter((flag) => flag.required)
    .map((flag) => `\\fB\\-\\-${text(flag.name)}\\fR=${shownValue(flag)}`);
  return `${[bold(commandOf(id)), ...words, ...required, '[OPTION]...'].join(' ')}\n`;
}

function commandPage(id: string, manual: Manual): string {
  const command = manual.commands[id];
  if (command === undefined) throw new Error(`no command ${id}`);
  const { summary = '', description = '', args, flags, examples = [] } = command;
  const shown = Object.values(flags)
    .filter(({ hidden }) => !hidden)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const example = (line: string): string =>
    text(
      line.replaceAll('<%= config.bin %>', 'banger').replaceAll('<%= command.id %>', id.replaceAll(':', ' ')),
    );
  return [
    head(pageOf(id), manual),
    section('NAME', `${text(pageOf(id))} \\- ${text(summary)}\n`),
    section('SYNOPSIS', synopsis(id, command)),
    section('DESCRIPTION', description === '' ? '' : `${text(description)}\n`),
    section(
      'ARGUMENTS',
      Object.values(args)
        .map(({ name, description: what = '' }) => item(italic(name.toUpperCase()), text(what)))
        .join(''),
    ),
    section('OPTIONS', shown.map(optionItem).join('')),
    section('EXAMPLES', examples.map((line) => `.nf\n${example(line)}\n.fi\n`).join('')),
    section('SEE ALSO', `.BR banger (1)\n`),
  ].join('');
}

function mainPage(manual: Manual): string {
  const { commands, description, exitCodes } = manual;
  const shown = Object.entries(commands).filter(([, { hidden }]) => !hidden);
  const environment = [
    ['BANGER_CONFIG', 'the configuration file, instead of $XDG_CONFIG_HOME/banger/config.toml'],
    ['BANGER_STATE_DIR', 'where images and their registry are, instead of $XDG_STATE_HOME/banger'],
    ['BANGER_CACHE_DIR', 'the cache, instead of $XDG_CACHE_HOME/banger'],
    ['NO_COLOR', 'no colours'],
  ] as const;
  return [
    head('banger', manual),
    section('NAME', `banger \\- ${text(description.replace(/^./u, (letter) => letter.toLowerCase()))}\n`),
    section('SYNOPSIS', `${bold('banger')} ${italic('COMMAND')} [ARGUMENT]... [OPTION]...\n`),
    section(
      'COMMANDS',
      shown.map(([id, { summary = '' }]) => item(`\\fB${text(pageOf(id))}\\fR(1)`, text(summary))).join(''),
    ),
    section('ENVIRONMENT', environment.map(([name, what]) => item(bold(name), text(what))).join('')),
    section('EXIT STATUS', exitCodes.map(([status, meaning]) => item(bold(status), text(meaning))).join('')),
    section('SEE ALSO', `${shown.map(([id]) => `.BR ${text(pageOf(id))} (1)`).join(',\n')}\n`),
  ].join('');
}

/** banger(1) and a page a command: file names and roff. */
export function manPages(manual: Manual): Map<string, string> {
  const shown = Object.entries(manual.commands).filter(([, { hidden }]) => !hidden);
  return new Map([
    ['banger.1', mainPage(manual)],
    ...shown.map(([id]) => [`${pageOf(id)}.1`, commandPage(id, manual)] as const),
  ]);
}
