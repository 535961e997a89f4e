import * as Flags from '@oclif/core/flags';
import { ChangingCommand } from '../../lib/command.ts';
import type { CachePruned } from '../../lib/image/cached-steps.ts';
import { print } from '../../lib/output.ts';

export default class CachePrune extends ChangingCommand {
  static override summary = 'remove what is kept of builds';
  static override description =
    'Removes what nobody is using just now, steps before cache mounts and packages, of each the least recently used first. Images are not touched: the next build takes longer.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --dry-run',
    '<%= config.bin %> <%= command.id %> --to 5G',
    '<%= config.bin %> <%= command.id %> --unused-for 7d',
  ];
  static override flags = {
    'dry-run': Flags.boolean({ description: 'say what would be removed, and remove nothing' }),
    to: Flags.string({
      description: 'until no more than this is left [default: nothing]',
      helpValue: 'SIZE',
    }),
    'unused-for': Flags.string({
      description: 'only what was of no use for so long, like 7d',
      helpValue: 'DURATION',
    }),
  };

  async run(): Promise<CachePruned> {
    const { flags } = await this.parse(CachePrune);
    const { planCachePrune, pruneCache } = await import('../../lib/image/cached-steps.ts');
    const { parseDuration } = await import('../../lib/image/duration.ts');
    const { parseSize } = await import('../../lib/size.ts');
    const unused = flags['unused-for'];
    const options = {
      toBytes: flags.to === undefined ? null : parseSize(flags.to),
      unusedForMs: unused === undefined ? undefined : parseDuration(unused),
    };
    const pruned = flags['dry-run']
      ? await this.look(flags, (readings) => planCachePrune(readings, options))
      : await this.change(flags, ({ workspace }) => pruneCache(workspace, options));
    if (!flags.quiet && !this.jsonEnabled()) {
      const { cachePruneReport } = await import('../../lib/image/cached-steps-report.ts');
      print(cachePruneReport(pruned, flags['dry-run'] ? 'would remove' : 'removed'));
    }
    return pruned;
  }
}
