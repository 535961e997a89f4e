import * as Args from '@oclif/core/args';
import { BangerCommand } from '../../lib/command.ts';

export default class VmSsh extends BangerCommand {
  static override summary = 'log in to a VM that runs, or run a command in it';
  static override description =
    "As root, with the key that is seeded into images; the exit code is the command's. One word is a line for the guest's shell, several are a program and its arguments.";
  static override examples = [
    '<%= config.bin %> <%= command.id %> web1',
    "<%= config.bin %> <%= command.id %> web1 -- 'journalctl --boot | tail'",
  ];
  static override strict = false;
  static override args = {
    vm: Args.string({ description: 'name or id of the VM', required: true }),
    command: Args.string({ description: 'what runs in the guest' }),
  };

  async run(): Promise<{ vm: string; status: number }> {
    const { argv, flags } = await this.parse(VmSsh);
    const [ref = '', ...command] = argv.map(String);
    const { sshToVm } = await import('../../lib/vm/ssh.ts');
    const report = await this.look(flags, (readings) => sshToVm(readings, ref, command));
    process.exitCode = report.status;
    return report;
  }
}
