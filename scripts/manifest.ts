// Writes oclif.manifest.json from the commands' sources: oclif then knows flags and help without loading a command.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Interfaces, Plugin } from '@oclif/core';
import { COMMANDS } from '../src/index.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Interfaces.PJSON;
pjson.oclif.commands = { strategy: 'explicit', target: './src/index.ts', identifier: 'COMMANDS' };
const plugin = new Plugin({
  root,
  pjson,
  type: 'core',
  isRoot: true,
  ignoreManifest: true,
  errorOnManifestCreate: true,
});
const classes = await Promise.all(
  Object.entries(COMMANDS).map(async ([id, load]) => [id, (await load()).default]),
);
// What it would import by itself are functions that load the commands.
Object.assign(plugin, { commandCache: Object.fromEntries(classes) });
await plugin.load();
const target = join(root, 'oclif.manifest.json');
const manifest = `${JSON.stringify(plugin.manifest, null, 2)}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== manifest) {
    process.stderr.write('oclif.manifest.json is stale: npm run manifest\n');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, manifest);
}
