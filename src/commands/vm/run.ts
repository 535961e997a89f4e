import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { machineFlags } from '../../lib/build-flags.ts';
import { ChangingCommand } from '../../lib/command.ts';
import { BangerError } from '../../lib/errors.ts';
import type { RunReport } from '../../lib/vm/run.ts';

export default class VmRun extends ChangingCommand {
  static override summary = 'boot a VM in the foreground';
  static override description =
    "Its console is on the terminal until the guest powers off; Ctrl-A x cuts its power. With a COMMAND, the guest boots in the background, runs it as root over SSH with the key that is seeded into images, and is ended; the exit code is the command's. One word is a line for the guest's shell, several are a program and its arguments. With --image and --rm, the VM is a copy of an image that is thrown away.";
  static override examples = [
    '<%= config.bin %> <%= command.id %> web1',
    '<%= config.bin %> <%= command.id %> --image debian-base --rm',
    "<%= config.bin %> <%= command.id %> --image debian-base --rm -- 'systemctl is-system-running'",
    '<%= config.bin %> <%= command.id %> --image debian-base --rm --ssh-port 2222',
  ];
  static override strict = false;
  static override args = {
    vm: Args.string({ description: 'name or id of the VM, unless there is --image' }),
    command: Args.string({ description: 'what runs in the guest' }),
  };
  static override flags = {
    image: Flags.string({
      description: 'boot a copy of this image',
      helpValue: 'REF',
      dependsOn: ['rm'],
    }),
    rm: Flags.boolean({ description: 'throw the copy away at the end', dependsOn: ['image'] }),
    'ssh-port': Flags.integer({
      description:
        "port of this machine's loopback address that leads to the guest's SSH server [default: a free one]",
      helpValue: 'PORT',
      min: 1,
      max: 65_535,
    }),
    timeout: Flags.string({
      description: 'how long the guest may take until it answers by SSH',
      helpValue: 'DURATION',
      default: '5m',
    }),
    ...machineFlags,
  };

  async run(): Promise<RunReport> {
    const { argv, flags } = await this.parse(VmRun);
    const { runThrowaway, runVm } = await import('../../lib/vm/run.ts');
    const { runOptions } = await import('../../lib/vm/run-options.ts');
    const { image } = flags;
    const words = argv.map(String);
    const command = image === undefined ? words.slice(1) : words;
    const options = runOptions(flags, command, { isBeside: this.jsonEnabled() });
    const report = await this.change(flags, ({ workspace }) =>
      image === undefined
        ? runVm(workspace, this.vmOf(words), options)
        : runThrowaway(workspace, image, options),
    );
    process.exitCode = report.status ?? 0;
    return report;
  }

  private vmOf([ref]: readonly string[]): string {
    if (ref !== undefined) return ref;
    throw new BangerError('usage', 'missing argument VM', {
      hints: ['banger vm list', 'or give --image REF --rm'],
    });
  }
}
