// The first code of the single executable: loads a chunk of the bundle when it is wanted, with what V8 made of it when
// it was built.
'use strict';
process.env.NODE_ENV = 'production';
const { getAsset, getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

// Node's own that take milliseconds, which many import for what few commands reach.
const late = new Map(
  ['node:crypto', 'node:fs/promises', 'node:readline'].map((name) => [
    name,
    new Proxy({}, { get: (_, key) => require(name)[key] }),
  ]),
);
const loaded = new Map();
function load(name) {
  if (!name.startsWith('./')) return late.get(name) ?? require(name);
  let module = loaded.get(name);
  if (module === undefined) {
    module = { exports: {} };
    loaded.set(name, module);
    const key = name.slice(2);
    const script = new Script(getAsset(key, 'latin1'), {
      filename: key,
      cachedData: new Uint8Array(getRawAsset(`${key}.cache`)),
    });
    script.runInThisContext()(module.exports, load, module);
  }
  return module.exports;
}
const { addonName } = JSON.parse(getAsset('cargo.json', 'utf8'));
load('./entry.js').start({ addonName, addon: () => new Uint8Array(getRawAsset('better_sqlite3.node')) });
