import * as Args from '@oclif/core/args';
import { BangerCommand } from '../../lib/command.ts';
import type { ShownStep } from '../../lib/image/cached-steps.ts';
import { print } from '../../lib/output.ts';

export default class CacheShow extends BangerCommand {
  static override summary = 'show what a kept step depends on';
  static override examples = ['<%= config.bin %> <%= command.id %> 3f2a'];
  static override args = {
    step: Args.string({ description: 'id of the step, or how it begins', required: true }),
  };

  async run(): Promise<ShownStep> {
    const { args, flags } = await this.parse(CacheShow);
    const { showCachedStep } = await import('../../lib/image/cached-steps.ts');
    const step = await this.look(flags, (readings) => showCachedStep(readings, args.step));
    if (!flags.quiet && !this.jsonEnabled()) {
      const { shownStepReport } = await import('../../lib/image/cached-steps-report.ts');
      print(shownStepReport(step));
    }
    return step;
  }
}
