// What the single executable bundles: the program, and what oclif knows of it.

import manifest from '../../oclif.manifest.json';
import pjson from '../../package.json';
import { runExecutable } from '../../src/executable.ts';

export function start(cargo) {
  return runExecutable({ manifest, pjson, root: '/' }, cargo);
}
