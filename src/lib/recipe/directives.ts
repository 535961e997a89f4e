import { type RecipeFaults, shown } from './faults.ts';
import type { PhysicalLines } from './physical-lines.ts';
import type { Escape } from './words.ts';

/** The comments at the top of a file that say how to read it; anything else ends them. */
export function readDirectives(lines: PhysicalLines, faults: RecipeFaults): Escape {
  const seen = new Set<string>();
  let escaper: Escape = '\\';
  while (!lines.isDone) {
    const line = lines.peek().trim();
    const equals = line.indexOf('=');
    const name = line.slice(1, Math.max(equals, 1)).trim().toLowerCase();
    const value = line.slice(equals + 1).trim();
    if (!line.startsWith('#') || value === '' || !/^(?:escape|syntax|check)$/u.test(name)) break;
    if (seen.has(name)) faults.add(lines.number, `the directive ${name} stands there twice`);
    seen.add(name);
    // What syntax and check say is for other programs.
    if (name === 'escape') {
      if (value === '\\' || value === '`') escaper = value;
      else faults.add(lines.number, `the escape character cannot be ${shown(value)}`, 'use \\ or `');
    }
    lines.skip();
  }
  return escaper;
}
