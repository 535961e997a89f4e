import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BangerCommand } from '../../lib/command.ts';
import { SBOM_FORMATS } from '../../lib/image/sbom-formats.ts';
import { print, tell } from '../../lib/output.ts';
import { formatJson } from '../../lib/text.ts';

export default class ImageSbom extends BangerCommand {
  static override summary = 'list the packages of an image as a bill of materials';
  static override description =
    "Prints SPDX 2.3 or CycloneDX 1.6, from the image's own database of packages (dpkg or apk); nothing is mounted. The same " +
    "image gives the same document; its time is SOURCE_DATE_EPOCH where that is set, else the image's.";
  static override examples = [
    '<%= config.bin %> <%= command.id %> web >web.spdx.json',
    '<%= config.bin %> <%= command.id %> web@3 --format cyclonedx-json',
  ];
  static override args = {
    image: Args.string({ description: 'name or id of the image', required: true }),
  };
  static override flags = {
    format: Flags.option({
      description: 'how it is written',
      options: SBOM_FORMATS,
      default: 'spdx-json',
    })(),
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ImageSbom);
    const { sbomOf } = await import('../../lib/image/sbom.ts');
    const { document, warning } = await this.look(flags, (readings) =>
      sbomOf(readings, { ref: args.image, format: flags.format, toolVersion: this.config.version }),
    );
    if (warning !== null) tell(`warning: ${warning}\n`);
    if (!this.jsonEnabled()) print(formatJson(document));
    return document;
  }
}
