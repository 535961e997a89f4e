import * as Flags from '@oclif/core/flags';
import type { Checked } from '../lib/check/check.ts';
import type { Finding } from '../lib/check/finding.ts';
import { ChangingCommand } from '../lib/command.ts';
import { print, tell } from '../lib/output.ts';

export default class Check extends ChangingCommand {
  static override summary = 'compare registry and disk';
  static override description =
    'Finds images whose files are missing, cut short or damaged, files that no image has, operations that died, directories that are open to others, and damage of the registry itself, and says of each what --repair would do. A repair touches no healthy image and deletes nothing: what nobody can explain goes to lost+found in the state directory. Exits with 11 when a problem is left.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --deep',
    '<%= config.bin %> <%= command.id %> --repair --json',
  ];
  static override flags = {
    deep: Flags.boolean({ description: 'check the filesystems whole, with e2fsck' }),
    repair: Flags.boolean({ description: 'mend what can be mended' }),
  };

  async run(): Promise<Finding[]> {
    const { flags } = await this.parse(Check);
    const { assertNothingLeft, check, checkAndRepair, checkReport } = await import('../lib/check/check.ts');
    const options = {
      deep: flags.deep,
      onImage: (name: string, index: number, count: number): void => {
        if (flags.deep && !flags.quiet) tell(`checking ${name} (${index} of ${count})\n`);
      },
    };
    const { images, findings }: Checked = flags.repair
      ? await this.change(flags, ({ workspace }) =>
          checkAndRepair(workspace, { ...options, signal: workspace.signal }),
        )
      : await this.look(flags, async ({ store, layout }) =>
          store === null ? { images: 0, findings: [] } : check({ store, layout }, options),
        );
    if (!this.jsonEnabled()) print(checkReport({ images, findings }));
    assertNothingLeft(findings);
    return findings;
  }
}
