import * as Args from '@oclif/core/args';
import { ChangingCommand } from '../../lib/command.ts';
import type { ImageJson } from '../../lib/image/listing.ts';

export default class ImageRename extends ChangingCommand {
  static override summary = 'give an image another name';
  static override examples = ['<%= config.bin %> <%= command.id %> debian debian-12'];
  static override args = {
    image: Args.string({ description: 'name or id of the image', required: true }),
    name: Args.string({ description: 'its new name', required: true }),
  };

  async run(): Promise<ImageJson> {
    const { args, flags } = await this.parse(ImageRename);
    const { renameImage } = await import('../../lib/image/rename.ts');
    const { imageJson } = await import('../../lib/image/listing.ts');
    const { image, oldName } = await this.change(flags, ({ workspace }) =>
      renameImage(workspace, args.image, args.name),
    );
    if (!flags.quiet) this.log(`renamed ${oldName} to ${image.name}`);
    return imageJson(image);
  }
}
