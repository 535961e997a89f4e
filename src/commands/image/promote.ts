import * as Args from '@oclif/core/args';
import { gateFlags, progressFlag, spellOutVerify } from '../../lib/build-flags.ts';
import { ChangingCommand } from '../../lib/command.ts';
import type { ImageJson } from '../../lib/image/listing.ts';

export default class ImagePromote extends ChangingCommand {
  static override summary = 'copy a registered image into managed storage';
  static override description =
    'The source files are only read. Where the filesystem can share extents, the copy takes no time and no space.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> debian',
    '<%= config.bin %> <%= command.id %> debian --verify=boot',
  ];
  static override args = {
    image: Args.string({ description: 'name or id of the image', required: true }),
  };
  static override flags = { ...gateFlags, ...progressFlag };

  async run(): Promise<ImageJson> {
    this.argv = spellOutVerify(this.argv);
    const { args, flags } = await this.parse(ImagePromote);
    const { gateFrom } = await import('../../lib/image/gate.ts');
    const gate = gateFrom(flags);
    const { promoteImage } = await import('../../lib/image/promote.ts');
    const { imageJson } = await import('../../lib/image/listing.ts');
    const image = await this.change(flags, ({ workspace, progress }) =>
      promoteImage(workspace, {
        ref: args.image,
        gate,
        progress,
        mendOf: () =>
          `mend the file, or register others: banger image register ${args.image} --rootfs FILE --kernel FILE`,
      }),
    );
    if (!flags.quiet) this.log(`promoted ${image.name}: ${image.artifact_dir}`);
    return imageJson(image);
  }
}
