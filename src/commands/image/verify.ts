import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { checkFlag, machineFlags, progressFlag, timeoutFlag } from '../../lib/build-flags.ts';
import { ChangingCommand } from '../../lib/command.ts';
import type { BootReport } from '../../lib/image/boot-report.ts';
import type { Verification } from '../../lib/image/verify.ts';
import { print } from '../../lib/output.ts';

export default class ImageVerify extends ChangingCommand {
  static override summary = 'tell whether an image fits together, and with --boot whether it boots';
  static override description =
    "Checks the filesystems with e2fsck, and that kernel, modules, initrd and the guest's own files go with each other: drivers of the disk built in or in the initrd, an init that can run, no entry of fstab that a boot waits for in vain, no machine-id that all guests would share. With --boot, copies of the disks are booted until the guest's init says that it is up, and then thrown away; how long each phase took is shown beside earlier generations. The image is never changed. Exits with 10 when something fails.";
  static override examples = [
    '<%= config.bin %> <%= command.id %> web',
    "<%= config.bin %> <%= command.id %> web --boot --check 'systemctl is-active nginx'",
    '<%= config.bin %> <%= command.id %> web --json | jq \'.findings[] | select(.status != "ok")\'',
  ];
  static override args = {
    image: Args.string({ description: 'name or id of an image', required: true }),
  };
  static override flags = {
    boot: Flags.boolean({ description: 'boot it, too' }),
    check: checkFlag(['boot']),
    ...timeoutFlag,
    ...machineFlags,
    ...progressFlag,
  };

  protected override whenFailed: Readonly<Record<string, unknown>> = {};

  async run(): Promise<Verification & { boot: BootReport | null }> {
    const { args, flags } = await this.parse(ImageVerify);
    const { assertVerified, verificationReport, verifyImage } = await import('../../lib/image/verify.ts');
    const { bootTrial } = await import('../../lib/image/boot-trial.ts');
    const trial = bootTrial(flags);
    const verification = await this.look(flags, (readings) => verifyImage(readings, args));
    let boot: BootReport | null = null;
    this.whenFailed = { ...verification, boot };
    if (!this.jsonEnabled()) print(verificationReport(verification, flags.quiet));
    assertVerified(verification);
    if (!flags.boot) return { ...verification, boot };
    const { verifyBoot } = await import('../../lib/image/verify-boot.ts');
    const { bootTable } = await import('../../lib/image/boot-report.ts');
    const onReport = (report: BootReport): void => {
      boot = report;
      this.whenFailed = { ...verification, ok: false, boot };
      if (!flags.quiet && !this.jsonEnabled()) print(bootTable(report));
    };
    await this.change(flags, ({ workspace, progress }) =>
      verifyBoot(workspace, { ref: args.image, trial, progress, onReport }),
    );
    return { ...verification, boot };
  }
}
