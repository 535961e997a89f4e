import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { ChangingCommand, confirm } from '../../lib/command.ts';
import type { Pruned } from '../../lib/image/prune.ts';
import { isTerminal, print } from '../../lib/output.ts';

export default class ImagePrune extends ChangingCommand {
  static override summary = 'remove earlier generations that nothing needs';
  static override description =
    'Never the image that a name stands for, a protected one, or one that a VM or a running operation needs. Prints what is removed and what that frees once it has left the trash, where it is kept for a week; what is shared with images that stay does not count.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --dry-run',
    '<%= config.bin %> <%= command.id %> web --keep 3 --older-than 30d --yes',
  ];
  static override strict = false;
  static override args = { name: Args.string({ description: 'names of images [default: all]' }) };
  static override flags = {
    keep: Flags.integer({
      description: 'keep so many earlier generations of each name',
      default: 1,
      helpValue: 'NUMBER',
      min: 0,
    }),
    'older-than': Flags.string({ description: 'only older ones, like 30d', helpValue: 'DURATION' }),
    purge: Flags.boolean({ description: 'remove the files at once, past the trash' }),
    'dry-run': Flags.boolean({ description: 'only print the plan' }),
    yes: Flags.boolean({ char: 'y', description: 'do not ask' }),
  };

  async run(): Promise<Pruned> {
    const { argv, flags } = await this.parse(ImagePrune);
    const { planPrune, prune } = await import('../../lib/image/prune.ts');
    const { pruneReport } = await import('../../lib/image/prune-report.ts');
    const { parseDuration } = await import('../../lib/image/duration.ts');
    const age = flags['older-than'];
    const options = {
      names: argv.map(String),
      keep: flags.keep,
      purge: flags.purge,
      olderThanMs: age === undefined ? undefined : parseDuration(age),
    };
    const show = (pruned: Pruned, verb: string): void => {
      if (!flags.quiet && !this.jsonEnabled()) print(pruneReport(pruned, verb));
    };
    const plan = await this.look(flags, (readings) => planPrune(readings, options));
    if (flags['dry-run'] || plan.images.length === 0) {
      show(plan, 'would remove');
      return plan;
    }
    if (!flags.yes && isTerminal(0) && isTerminal(2) && !this.jsonEnabled()) {
      show(plan, 'to be removed:');
      await confirm('remove them?');
    }
    const pruned = await this.change(flags, ({ workspace }) => prune(workspace, options, plan));
    show(pruned, 'removed');
    return pruned;
  }
}
