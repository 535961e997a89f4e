import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { ChangingCommand } from '../../lib/command.ts';
import type { ImageJson } from '../../lib/image/listing.ts';

export default class TrashRestore extends ChangingCommand {
  static override summary = 'bring a deleted image back';
  static override examples = [
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> web --name web-before',
  ];
  static override args = {
    image: Args.string({ description: 'id of the image, or the name that it had', required: true }),
  };
  static override flags = {
    name: Flags.string({ description: 'give it this name', helpValue: 'NAME' }),
  };

  async run(): Promise<ImageJson> {
    const { args, flags } = await this.parse(TrashRestore);
    const { restoreImage } = await import('../../lib/image/trash.ts');
    const { imageJson } = await import('../../lib/image/listing.ts');
    const image = await this.change(flags, ({ workspace }) =>
      restoreImage(workspace, args.image, { name: flags.name }),
    );
    if (!flags.quiet) this.log(`${image.name} (${image.id.slice(0, 12)}) is back: ${image.artifact_dir}`);
    return imageJson(image);
  }
}
