// By itself, for help alone wants it; by name, for a bundler gives an imported CommonJS module no other exports.
import { Help as OclifHelp } from '@oclif/core/help';
import { print } from './lib/output.ts';

export class Help extends OclifHelp {
  protected override log(...texts: string[]): void {
    print(`${texts.join(' ')}\n`);
  }
}
