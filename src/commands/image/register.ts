import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { ChangingCommand } from '../../lib/command.ts';
import type { ImageJson } from '../../lib/image/listing.ts';

export default class ImageRegister extends ChangingCommand {
  static override summary = 'register an image whose files stay where they are';
  static override description =
    'Looks inside every file first and reports all that is wrong at once. Registering a name again updates it in place.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> debian --rootfs rootfs.ext4 --kernel vmlinux',
    '<%= config.bin %> <%= command.id %> debian --rootfs rootfs.ext4 --kernel vmlinux --initrd initrd.img --work-seed root.ext4',
  ];
  static override args = {
    name: Args.string({ description: 'name of the image', required: true }),
  };
  static override flags = {
    rootfs: Flags.string({ description: 'root filesystem (ext4)', required: true, helpValue: 'FILE' }),
    kernel: Flags.string({
      description: 'kernel (vmlinux, bzImage or arm64 Image)',
      required: true,
      helpValue: 'FILE',
    }),
    initrd: Flags.string({ description: 'initial ramdisk', helpValue: 'FILE' }),
    modules: Flags.string({ description: 'directory of kernel modules', helpValue: 'DIR' }),
    'work-seed': Flags.string({
      description: 'ext4 disk of /root [default: the one beside the rootfs]',
      helpValue: 'FILE',
    }),
    docker: Flags.boolean({ description: 'record that the image has Docker' }),
  };

  async run(): Promise<ImageJson & { outcome: string }> {
    const { args, flags } = await this.parse(ImageRegister);
    const { registerImage } = await import('../../lib/image/register.ts');
    const { imageJson } = await import('../../lib/image/listing.ts');
    const { image, outcome } = await this.change(flags, ({ workspace }) =>
      registerImage(workspace, {
        name: args.name,
        rootfs: flags.rootfs,
        kernel: flags.kernel,
        initrd: flags.initrd,
        modules: flags.modules,
        workSeed: flags['work-seed'],
        docker: flags.docker,
        mendOf: (artifact) =>
          `give another ${artifact === 'modules' ? 'directory' : 'file'}: --${artifact === 'workSeed' ? 'work-seed' : artifact} ${artifact === 'modules' ? 'DIR' : 'FILE'}`,
      }),
    );
    if (!flags.quiet) this.log(`${outcome} ${image.name} (${image.id.slice(0, 12)})`);
    return { ...imageJson(image), outcome };
  }
}
