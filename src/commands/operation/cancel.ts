import * as Args from '@oclif/core/args';
import { BangerCommand } from '../../lib/command.ts';
import type { OperationJson } from '../../lib/journal.ts';

export default class OperationCancel extends BangerCommand {
  static override summary = 'ask a running operation to stop and clean up';
  static override description =
    'Leaves a mark that the operation looks for, so it works across containers that share the state directory.';
  static override examples = ['<%= config.bin %> <%= command.id %> 3f2a'];
  static override args = {
    operation: Args.string({ description: 'id of the operation, or the beginning of it', required: true }),
  };

  async run(): Promise<OperationJson> {
    const { args, flags } = await this.parse(OperationCancel);
    const { cancelOperation } = await import('../../lib/journal.ts');
    const { openForMark } = await import('../../lib/workspace.ts');
    const { store, layout } = await openForMark({ stateDir: flags['state-dir'] });
    try {
      const operation = cancelOperation(store, layout, args.operation);
      if (!flags.quiet) this.log(`asked ${operation.kind} ${operation.image_name} to stop`);
      return operation;
    } finally {
      store?.close();
    }
  }
}
