import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { ChangingCommand, confirm } from '../../lib/command.ts';
import { isTerminal } from '../../lib/output.ts';

export default class VmDelete extends ChangingCommand {
  static override summary = 'delete VMs with their disks';
  static override description =
    'There is no trash for disks of VMs. Of several VMs all are deleted, or none; one that runs is kept.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> web1',
    '<%= config.bin %> <%= command.id %> web1 web2 --yes',
  ];
  static override strict = false;
  static override args = {
    vm: Args.string({ description: 'names or ids of VMs', required: true }),
  };
  static override flags = { yes: Flags.boolean({ char: 'y', description: 'do not ask' }) };

  async run(): Promise<{ id: string; name: string; image_id: string }[]> {
    const { argv, flags } = await this.parse(VmDelete);
    const refs = argv.map(String);
    const { deleteVms, findVms } = await import('../../lib/vm/delete.ts');
    if (!flags.yes && isTerminal(0) && isTerminal(2) && !this.jsonEnabled()) {
      const names = await this.look(flags, ({ store }) => findVms(store, refs).map(({ name }) => name));
      await confirm(`delete ${names.join(', ')} with all that is on their disks?`);
    }
    const vms = await this.change(flags, ({ workspace }) => deleteVms(workspace, refs));
    if (!flags.quiet) for (const { name } of vms) this.log(`deleted ${name}`);
    return vms.map(({ id, name, image_id }) => ({ id, name, image_id }));
  }
}
