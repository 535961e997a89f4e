// Writes oclif.manifest.json from the compiled commands: oclif then knows flags and help without loading a command.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Plugin } from '@oclif/core';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true });
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
