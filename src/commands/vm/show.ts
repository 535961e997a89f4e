import * as Args from '@oclif/core/args';
import { BangerCommand } from '../../lib/command.ts';
import { print } from '../../lib/output.ts';
import type { VmJson } from '../../lib/vm/list.ts';

export default class VmShow extends BangerCommand {
  static override summary = 'show all that is known of a VM';
  static override examples = [
    '<%= config.bin %> <%= command.id %> web1',
    '<%= config.bin %> <%= command.id %> web1 --json | jq .ssh_port',
  ];
  static override args = {
    vm: Args.string({ description: 'name or id of the VM', required: true }),
  };

  async run(): Promise<VmJson> {
    const { args, flags } = await this.parse(VmShow);
    const { showVm, vmReport } = await import('../../lib/vm/list.ts');
    const vm = await this.look(flags, (readings) => showVm(readings, args.vm));
    if (!this.jsonEnabled()) print(vmReport(vm));
    return vm;
  }
}
