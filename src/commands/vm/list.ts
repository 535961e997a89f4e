import { BangerCommand } from '../../lib/command.ts';
import { print } from '../../lib/output.ts';
import type { VmJson } from '../../lib/vm/list.ts';

export default class VmList extends BangerCommand {
  static override summary = 'list VMs';
  static override description = 'With --quiet, names alone, one a line.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    "<%= config.bin %> <%= command.id %> --json | jq --raw-output '.[] | select(.running) | .name'",
  ];

  async run(): Promise<VmJson[]> {
    const { flags } = await this.parse(VmList);
    const { vmList, vmTable } = await import('../../lib/vm/list.ts');
    const vms = await this.look(flags, vmList);
    if (flags.quiet) this.logNames(vms.map(({ name }) => name));
    else if (!this.jsonEnabled()) print(vmTable(vms));
    return vms;
  }
}
