import type { Interfaces } from '@oclif/core';
import type { Command } from '@oclif/core/command';
import { Config } from '@oclif/core/config';
import { COMMANDS } from './index.ts';

/** What oclif knows of the program before any command is loaded: oclif.manifest.json and package.json. */
export interface ProgramData {
  manifest: { commands: Record<string, Command.Cached> };
  pjson: Interfaces.PJSON;
  /** Where both lie; nothing is read from there. */
  root: string;
}

/**
 * As much of oclif's configuration as a command wants that runs: what to call the program, and hooks, of which there are
 * none. All of it, which help wants, takes as long as a small command.
 */
export function configOfCommands(data: ProgramData): Config {
  const plugin = makePlugin(data);
  const config = new Config({ root: data.root });
  config.pjson = data.pjson;
  config.bin = data.pjson.oclif.bin ?? data.pjson.name;
  // Private, but where it asks for hooks.
  Object.assign(config, { rootPlugin: plugin });
  config.plugins.set(plugin.name, plugin);
  return config;
}

/** oclif looks for no plugin, no manifest, no theme with it, neither beside the program nor in a HOME. */
async function configOfHelp(data: ProgramData): Promise<Config> {
  // The only way to keep oclif from reading a theme.json.
  process.env.BANGER_DISABLE_THEME = '1';
  const plugin = makePlugin(data);
  const config = new Config({
    root: data.root,
    plugins: new Map([[plugin.name, plugin]]),
    userPlugins: false,
    devPlugins: false,
  });
  await config.load();
  return config;
}

/** Prints the help of a command, of a topic, or of the program. */
export async function showHelp(data: ProgramData, argv: readonly string[]): Promise<void> {
  const [{ Help }, config] = await Promise.all([import('./oclif-help.ts'), configOfHelp(data)]);
  await new Help(config, config.pjson.oclif.helpOptions).showHelp([...argv]);
}

/** The one plugin: the table of commands. */
function makePlugin({ manifest, pjson, root }: ProgramData): Interfaces.Plugin {
  const plugin: Interfaces.Plugin = {
    _base: '',
    alias: pjson.name,
    commandIDs: Object.keys(manifest.commands),
    commands: [],
    commandsDir: undefined,
    findCommand: findCommand as Interfaces.Plugin['findCommand'],
    hasManifest: true,
    hooks: {},
    isRoot: true,
    load: async () => {},
    moduleType: 'module',
    name: pjson.name,
    options: { root },
    pjson,
    root,
    topics: Object.entries(pjson.oclif.topics ?? {}).map(([name, topic]) => ({ ...topic, name })),
    type: 'core',
    valid: true,
    version: pjson.version,
  };
  plugin.commands = Object.entries(manifest.commands).map(([id, cached]) => ({
    ...cached,
    pluginAlias: pjson.name,
    pluginType: 'core',
    load: () => findCommand(id),
  }));
  return plugin;
}

async function findCommand(id: string): Promise<Command.Class> {
  const load = COMMANDS[id];
  if (load === undefined) throw new Error(`no command ${id}`);
  const { default: command } = await load();
  command.id = id;
  return command;
}
