import * as Flags from '@oclif/core/flags';
import { BangerCommand } from '../../lib/command.ts';
import type { OperationJson } from '../../lib/journal.ts';
import { print } from '../../lib/output.ts';

export default class OperationList extends BangerCommand {
  static override summary = 'list what runs and what ran';
  static override description =
    'Newest first. One whose process died shows as dead until the next command that changes images cleans up after it.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --running --json',
  ];
  static override flags = {
    running: Flags.boolean({ description: 'only those that run now' }),
    limit: Flags.integer({
      description: 'at most so many',
      helpValue: 'N',
      default: 20,
      min: 1,
      max: 100_000,
    }),
  };

  async run(): Promise<OperationJson[]> {
    const { flags } = await this.parse(OperationList);
    const { listJournal } = await import('../../lib/journal.ts');
    const operations = await this.look(flags, (readings) => listJournal(readings, flags));
    if (flags.quiet) this.logNames(operations.map(({ id }) => id));
    else if (!this.jsonEnabled()) {
      const { operationTable } = await import('../../lib/journal-report.ts');
      print(operationTable(operations));
    }
    return operations;
  }
}
