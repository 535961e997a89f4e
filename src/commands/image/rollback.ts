import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { ChangingCommand } from '../../lib/command.ts';
import type { ImageJson } from '../../lib/image/listing.ts';

export default class ImageRollback extends ChangingCommand {
  static override summary = 'let a name stand for an earlier generation';
  static override description =
    'The generation that the name stood for is kept as an earlier one: a rollback can be rolled back. No file is touched.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> web --to 3',
  ];
  static override args = { name: Args.string({ description: 'name of an image', required: true }) };
  static override flags = {
    to: Flags.integer({
      description: 'generation [default: the one before the current]',
      helpValue: 'GENERATION',
      min: 1,
    }),
  };

  async run(): Promise<ImageJson> {
    const { args, flags } = await this.parse(ImageRollback);
    const { rollBack } = await import('../../lib/image/rollback.ts');
    const { imageJson } = await import('../../lib/image/listing.ts');
    const { image, from } = await this.change(flags, ({ workspace }) =>
      rollBack(workspace, { name: args.name, to: flags.to }),
    );
    if (!flags.quiet)
      this.log(
        `${image.name} is generation ${image.generation} again${from === null ? '' : `, not ${from}`}`,
      );
    return imageJson(image);
  }
}
