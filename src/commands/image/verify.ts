import * as Args from '@oclif/core/args';
import { BangerCommand } from '../../lib/command.ts';
import type { Verification } from '../../lib/image/verify.ts';
import { print } from '../../lib/output.ts';

export default class ImageVerify extends BangerCommand {
  static override summary = 'tell whether an image fits together, without booting it';
  static override description =
    "Checks the filesystems with e2fsck, and that kernel, modules, initrd and the guest's own files go with each other: drivers of the disk built in or in the initrd, an init that can run, no entry of fstab that a boot waits for in vain, no machine-id that all guests would share. Nothing is mounted or changed. Exits with 10 when something fails.";
  static override examples = [
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> web --json | jq \'.findings[] | select(.status != "ok")\'',
  ];
  static override args = {
    image: Args.string({ description: 'name or id of an image', required: true }),
  };

  protected override whenFailed: Readonly<Record<string, unknown>> = {};

  async run(): Promise<Verification> {
    const { args, flags } = await this.parse(ImageVerify);
    const { assertVerified, verificationReport, verifyImage } = await import('../../lib/image/verify.ts');
    const verification = await this.look(flags, (readings) => verifyImage(readings, args));
    this.whenFailed = { ...verification };
    if (!this.jsonEnabled()) print(verificationReport(verification, flags.quiet));
    assertVerified(verification);
    return verification;
  }
}
