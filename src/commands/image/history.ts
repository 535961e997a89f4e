import * as Args from '@oclif/core/args';
import { BangerCommand } from '../../lib/command.ts';
import type { Generation } from '../../lib/image/history.ts';
import { print } from '../../lib/output.ts';

export default class ImageHistory extends BangerCommand {
  static override summary = 'list the generations of a name';
  static override description =
    'Each `image build --replace` adds one. Earlier ones are images named NAME@GENERATION, and can be used as such. ' +
    'PACKAGES are those added (+), removed (-) and of another version (~) since the generation before.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> web',
    "<%= config.bin %> <%= command.id %> web --json | jq '.[0].package_changes.changed'",
  ];
  static override args = { name: Args.string({ description: 'name of an image', required: true }) };

  async run(): Promise<Generation[]> {
    const { args, flags } = await this.parse(ImageHistory);
    const { historyOf } = await import('../../lib/image/history.ts');
    const generations = await this.look(flags, (readings) => historyOf(readings, args.name));
    if (flags.quiet) this.logNames(generations.map(({ name }) => name));
    else if (!this.jsonEnabled()) {
      const { historyTable } = await import('../../lib/image/history-report.ts');
      print(historyTable(generations));
    }
    return generations;
  }
}
