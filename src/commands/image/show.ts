import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BangerCommand } from '../../lib/command.ts';
import type { ShownImage } from '../../lib/image/show.ts';
import { print } from '../../lib/output.ts';

export default class ImageShow extends BangerCommand {
  static override summary = 'show all that is known of an image';
  static override examples = [
    '<%= config.bin %> <%= command.id %> debian',
    '<%= config.bin %> <%= command.id %> debian --json',
    '<%= config.bin %> <%= command.id %> debian --tree-digest --json | jq --raw-output .tree_digest',
  ];
  static override args = {
    image: Args.string({ description: 'name or id of the image', required: true }),
  };

  static override flags = {
    'tree-digest': Flags.boolean({
      description:
        'compute the digest of all files (names, types, modes, owners, xattrs, contents; times up to SOURCE_DATE_EPOCH where ' +
        'that is set), which is shown from then on until the image changes',
    }),
  };

  async run(): Promise<ShownImage> {
    const { args, flags } = await this.parse(ImageShow);
    const { showImage } = await import('../../lib/image/show.ts');
    const { imageReport } = await import('../../lib/image/report.ts');
    const image = await this.look(flags, (readings) =>
      showImage(readings, args.image, { treeDigest: flags['tree-digest'] }),
    );
    if (!this.jsonEnabled()) print(imageReport(image));
    return image;
  }
}
