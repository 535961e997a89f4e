import * as Flags from '@oclif/core/flags';
import { BangerCommand } from '../lib/command.ts';
import { print } from '../lib/output.ts';
import type { Versions } from '../lib/version.ts';

export default class Version extends BangerCommand {
  static override summary = 'tell the version';
  static override description =
    'With --verbose also those of Node, SQLite and e2fsprogs, and the commit that the executable was built from.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --verbose --json',
  ];
  static override flags = {
    verbose: Flags.boolean({ description: 'tell what it is made of, too' }),
  };

  async run(): Promise<Versions | Pick<Versions, 'version'>> {
    const { flags } = await this.parse(Version);
    const { version } = this.config.pjson;
    if (!flags.verbose) {
      this.log(version);
      return { version };
    }
    const { versionReport, versionsOf } = await import('../lib/version.ts');
    const versions = await versionsOf(version);
    if (!this.jsonEnabled()) print(versionReport(versions));
    return versions;
  }
}
