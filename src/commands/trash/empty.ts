import * as Flags from '@oclif/core/flags';
import { ChangingCommand, confirm } from '../../lib/command.ts';
import type { Emptied } from '../../lib/image/trash.ts';
import { isTerminal, print } from '../../lib/output.ts';

export default class TrashEmpty extends ChangingCommand {
  static override summary = 'remove deleted images for good';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --older-than 2d --yes',
  ];
  static override flags = {
    'older-than': Flags.string({
      description: 'only what was deleted so long ago, like 2d',
      helpValue: 'DURATION',
    }),
    yes: Flags.boolean({ char: 'y', description: 'do not ask' }),
  };

  async run(): Promise<Emptied> {
    const { flags } = await this.parse(TrashEmpty);
    const { emptyTrashBefore, planEmpty } = await import('../../lib/image/trash.ts');
    const { emptyReport } = await import('../../lib/image/trash-report.ts');
    const { parseDuration } = await import('../../lib/image/duration.ts');
    const age = parseDuration(flags['older-than'] ?? '0s');
    const before = new Date(Date.now() - age).toISOString();
    const show = (emptied: Emptied, verb: string): void => {
      if (!flags.quiet && !this.jsonEnabled()) print(emptyReport(emptied, verb));
    };
    const plan = await this.look(flags, (readings) => planEmpty(readings, before));
    if (plan.images.length > 0 && !flags.yes && isTerminal(0) && isTerminal(2) && !this.jsonEnabled()) {
      show(plan, 'to be removed:');
      await confirm('remove them for good?');
    }
    const emptied =
      plan.images.length === 0
        ? plan
        : await this.change(flags, ({ workspace }) => emptyTrashBefore(workspace, before, plan));
    show(emptied, 'removed');
    return emptied;
  }
}
