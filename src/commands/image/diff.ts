import * as Args from '@oclif/core/args';
import { BangerCommand } from '../../lib/command.ts';
import type { ImageDiff } from '../../lib/image/diff.ts';
import { print } from '../../lib/output.ts';

export default class ImageDiffCommand extends BangerCommand {
  static override summary = 'tell what is not the same in two images';
  static override description =
    'Compares the packages and files of two root filesystems: contents, types, modes, owners, extended attributes, what links ' +
    'say; not times. Nothing is mounted. The exit code is 0 whether or not they differ; `identical` of --json tells.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> web@3 web',
    "<%= config.bin %> <%= command.id %> web@3 web --json | jq '.packages.changed'",
  ];
  static override args = {
    from: Args.string({ description: 'name or id of an image', required: true }),
    to: Args.string({ description: 'name or id of the image it is compared with', required: true }),
  };

  async run(): Promise<ImageDiff> {
    const { args, flags } = await this.parse(ImageDiffCommand);
    const { diffImages } = await import('../../lib/image/diff.ts');
    const diff = await this.look(flags, (readings) => diffImages(readings, args));
    if (!this.jsonEnabled()) {
      const { diffReport } = await import('../../lib/image/diff-report.ts');
      print(diffReport(diff));
    }
    return diff;
  }
}
