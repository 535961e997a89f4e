import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { progressFlag } from '../../lib/build-flags.ts';
import { ChangingCommand } from '../../lib/command.ts';
import type { ImageJson } from '../../lib/image/listing.ts';

export default class ImageBootstrap extends ChangingCommand {
  static override summary = 'make a first image from nothing';
  static override description =
    "debian: a system with kernel, sshd and systemd from a Debian mirror, in about a minute; mirror and suite are those of this machine's own apt unless given. busybox: a few MiB from this machine's static busybox and a kernel, without a network, in about a second.";
  static override examples = [
    '<%= config.bin %> <%= command.id %> debian-base',
    '<%= config.bin %> <%= command.id %> trixie --suite trixie --size 8G --package curl',
    '<%= config.bin %> <%= command.id %> tiny --flavor busybox --kernel /boot/vmlinuz',
  ];
  static override args = {
    name: Args.string({ description: 'name of the image', required: true }),
  };
  static override flags = {
    flavor: Flags.option({
      description: 'what it is made of',
      options: ['debian', 'busybox'] as const,
      default: 'debian',
    })(),
    suite: Flags.string({ description: "Debian release [default: this machine's]", helpValue: 'SUITE' }),
    mirror: Flags.string({ description: "Debian mirror [default: this machine's]", helpValue: 'URL' }),
    size: Flags.string({
      description: 'size of the root filesystem [default: 4G, busybox 64M]',
      helpValue: 'SIZE',
    }),
    package: Flags.string({
      description: 'install a package more',
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
    }),
    ...progressFlag,
    kernel: Flags.string({
      description: "kernel of a busybox image [default: this machine's newest in /boot]",
      helpValue: 'FILE',
    }),
    modules: Flags.string({
      description: "the kernel's modules, whose disk drivers go into an initrd [default: this machine's]",
      helpValue: 'DIR',
    }),
  };

  async run(): Promise<ImageJson> {
    const { args, flags } = await this.parse(ImageBootstrap);
    const { chooseFlavor } = await import('../../lib/image/flavor.ts');
    const { bootstrapImage } = await import('../../lib/image/bootstrap.ts');
    const { imageJson } = await import('../../lib/image/listing.ts');
    const { parseSize } = await import('../../lib/size.ts');
    const { flavor, size } = await chooseFlavor({
      flavor: flags.flavor,
      suite: flags.suite,
      mirror: flags.mirror,
      kernel: flags.kernel,
      modules: flags.modules,
      packages: flags.package,
      size: flags.size === undefined ? undefined : parseSize(flags.size),
      nameOf: (option) => `--${option}`,
    });
    const image = await this.change(flags, ({ workspace, progress }) =>
      bootstrapImage(workspace, { name: args.name, flavor, size, progress }),
    );
    if (!flags.quiet) this.log(`made ${image.name} (${image.id.slice(0, 12)}): ${image.artifact_dir}`);
    return imageJson(image);
  }
}
