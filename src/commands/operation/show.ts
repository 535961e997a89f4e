import * as Args from '@oclif/core/args';
import { BangerCommand } from '../../lib/command.ts';
import type { ShownOperation } from '../../lib/journal.ts';
import { print } from '../../lib/output.ts';

export default class OperationShow extends BangerCommand {
  static override summary = 'show one operation: its stages, its outcome, its log';
  static override examples = ['<%= config.bin %> <%= command.id %> 3f2a'];
  static override args = {
    operation: Args.string({ description: 'id of the operation, or the beginning of it', required: true }),
  };

  async run(): Promise<ShownOperation> {
    const { args, flags } = await this.parse(OperationShow);
    const { showOperation } = await import('../../lib/journal.ts');
    const operation = await this.look(flags, (readings) => showOperation(readings, args.operation));
    if (!this.jsonEnabled()) {
      const { operationReport } = await import('../../lib/journal-report.ts');
      print(operationReport(operation));
    }
    return operation;
  }
}
