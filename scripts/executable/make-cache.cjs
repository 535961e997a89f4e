// Runs the bundle once, so that V8 has compiled what a start needs, and keeps what it made of each chunk.
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { setFlagsFromString } = require('node:v8');
const { Script } = require('node:vm');

// What V8 notes of a function that it compiles further, or throws away unused, depends on the clock, and ends up in the
// cache: two builds of one commit differed in it. The cache holds the flags too, so they are put back before it is made.
const TIERS = ['sparkplug', 'maglev', 'opt', 'flush-bytecode'];
for (const tier of TIERS) setFlagsFromString(`--no-${tier}`);

const [work, ...chunks] = process.argv.splice(2);
const scripts = new Map(
  chunks.map((name) => [
    `./${name}`,
    new Script(readFileSync(join(work, name), 'latin1'), { filename: name }),
  ]),
);
const loaded = new Map();
function load(name) {
  const script = scripts.get(name);
  if (script === undefined) return require(name);
  let module = loaded.get(name);
  if (module === undefined) {
    module = { exports: {} };
    loaded.set(name, module);
    script.runInThisContext()(module.exports, load, module);
  }
  return module.exports;
}
process.env.NODE_ENV = 'production';
process.env.BANGER_STATE_DIR = join(work, 'no-state');
process.argv.push('image', 'list');
const addon = join(work, 'better_sqlite3.node');
load('./entry.js')
  .start({ addonName: 'better_sqlite3.node', addon: () => readFileSync(addon) })
  .then(() => {
    for (const tier of TIERS) setFlagsFromString(`--${tier}`);
    for (const [name, script] of scripts)
      writeFileSync(join(work, `${name}.cache`), script.createCachedData());
  });
