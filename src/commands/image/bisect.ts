import * as Args from '@oclif/core/args';
import { checkFlag, machineFlags, progressFlag, timeoutFlag } from '../../lib/build-flags.ts';
import { ChangingCommand } from '../../lib/command.ts';
import type { Bisection } from '../../lib/image/bisect.ts';
import { oneLine } from '../../lib/text.ts';

export default class ImageBisect extends ChangingCommand {
  static override summary = 'find the generation of an image since which a check fails';
  static override description =
    'Boots copies of generations, by halving, until it has found the first one that does not boot or fails a check. Those that it tried are in the history of boots that image verify --boot shows.';
  static override examples = [
    "<%= config.bin %> <%= command.id %> web --check 'systemctl is-active nginx'",
    '<%= config.bin %> <%= command.id %> web --json',
  ];
  static override args = {
    name: Args.string({ description: 'name of the image', required: true }),
  };
  static override flags = { check: checkFlag(), ...timeoutFlag, ...machineFlags, ...progressFlag };

  async run(): Promise<Bisection> {
    const { args, flags } = await this.parse(ImageBisect);
    const { bisectGenerations, describeBisection } = await import('../../lib/image/bisect.ts');
    const { bootTrial } = await import('../../lib/image/boot-trial.ts');
    const trial = bootTrial(flags);
    const bisection = await this.change(flags, ({ workspace, progress }) =>
      bisectGenerations(workspace, {
        ...{ name: args.name, trial, progress },
        onTried: ({ generation, reason }) => {
          const outcome = reason === null ? 'passes' : `fails: ${oneLine(reason)}`;
          if (!flags.quiet) this.log(`generation ${generation} ${outcome}`);
        },
      }),
    );
    this.log(describeBisection(bisection));
    return bisection;
  }
}
