import * as Args from '@oclif/core/args';
import { ChangingCommand } from '../../lib/command.ts';
import type { ImageJson } from '../../lib/image/listing.ts';

export default class ImageProtect extends ChangingCommand {
  static override summary = 'keep an image from delete and prune';
  static override examples = ['<%= config.bin %> <%= command.id %> debian-base'];
  static override args = {
    image: Args.string({ description: 'name or id of the image', required: true }),
  };

  async run(): Promise<ImageJson> {
    const { args, flags } = await this.parse(ImageProtect);
    const { setProtection } = await import('../../lib/image/protect.ts');
    const { imageJson } = await import('../../lib/image/listing.ts');
    const image = await this.change(flags, ({ workspace }) => setProtection(workspace, args.image, true));
    if (!flags.quiet) this.log(`${image.name} is protected`);
    return imageJson(image);
  }
}
