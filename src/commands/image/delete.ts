import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { ChangingCommand, confirm } from '../../lib/command.ts';
import type { ImageJson } from '../../lib/image/listing.ts';
import { isTerminal } from '../../lib/output.ts';

export default class ImageDelete extends ChangingCommand {
  static override summary = 'delete images';
  static override description =
    'Managed images lose their files; the files of registered ones stay where they are. Of several images all are deleted, or none. An image that a VM or a running operation needs is kept.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> demo',
    '<%= config.bin %> <%= command.id %> demo debian-base --yes',
  ];
  static override strict = false;
  static override args = {
    image: Args.string({ description: 'names or ids of images', required: true }),
  };
  static override flags = {
    purge: Flags.boolean({ description: 'remove the files at once, past the trash' }),
    yes: Flags.boolean({ char: 'y', description: 'do not ask' }),
  };

  async run(): Promise<ImageJson[]> {
    const { argv, flags } = await this.parse(ImageDelete);
    const refs = argv.map(String);
    const { deleteImages, findImages } = await import('../../lib/image/delete.ts');
    const { imageJson } = await import('../../lib/image/listing.ts');
    if (!flags.yes && isTerminal(0) && isTerminal(2) && !this.jsonEnabled()) {
      const names = await this.look(flags, ({ store }) => findImages(store, refs).map((image) => image.name));
      await confirm(`delete ${names.join(', ')}?`);
    }
    const images = await this.change(flags, ({ workspace }) =>
      deleteImages(workspace, refs, { purge: flags.purge }),
    );
    if (!flags.quiet) {
      for (const image of images) {
        this.log(`deleted ${image.name}${image.managed ? '' : `; its files stay: ${image.rootfs_path}`}`);
      }
    }
    return images.map(imageJson);
  }
}
