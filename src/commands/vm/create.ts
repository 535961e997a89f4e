import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { progressFlag } from '../../lib/build-flags.ts';
import { ChangingCommand } from '../../lib/command.ts';
import { parseSize } from '../../lib/size.ts';
import type { VmJson } from '../../lib/vm/list.ts';

export default class VmCreate extends ChangingCommand {
  static override summary = 'make a VM from an image';
  static override description =
    "Gives it copies of the image's root filesystem and work seed, which share their extents where the filesystem can. As long as there is the VM, the image cannot be deleted.";
  static override examples = [
    '<%= config.bin %> <%= command.id %> web1 --image debian-base',
    '<%= config.bin %> <%= command.id %> web2 --image debian-base --disk-size 20G --work-size 2G',
  ];
  static override args = {
    name: Args.string({ description: 'name of the new VM', required: true }),
  };
  static override flags = {
    image: Flags.string({ description: 'image, by name or id', helpValue: 'REF', required: true }),
    'disk-size': Flags.string({
      description: 'grow its root disk to this size, like 20G',
      helpValue: 'SIZE',
    }),
    'work-size': Flags.string({ description: 'grow its work disk to this size', helpValue: 'SIZE' }),
    ...progressFlag,
  };

  async run(): Promise<VmJson> {
    const { args, flags } = await this.parse(VmCreate);
    const { createVm } = await import('../../lib/vm/create.ts');
    const { vmJson } = await import('../../lib/vm/list.ts');
    const bytes = (text: string | undefined): number | null => (text === undefined ? null : parseSize(text));
    const sizes = { rootfs: bytes(flags['disk-size']), work: bytes(flags['work-size']) };
    const vm = await this.change(flags, async ({ workspace, progress }) => {
      const made = await createVm(workspace, { name: args.name, image: flags.image, sizes, progress });
      return vmJson(workspace.store, workspace.layout, made);
    });
    if (!flags.quiet) this.log(`created ${vm.name}: banger vm run ${vm.name}`);
    return vm;
  }
}
