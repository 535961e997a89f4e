import * as Flags from '@oclif/core/flags';
import { BangerCommand } from '../../lib/command.ts';
import type { ListedImage } from '../../lib/image/list.ts';
import { isTerminal, print } from '../../lib/output.ts';

export default class ImageList extends BangerCommand {
  static override summary = 'list images';
  static override description =
    'With --quiet, names alone, one a line. Sizes are those of the root filesystem and the work seed.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --filter managed=true --sort -size',
    '<%= config.bin %> <%= command.id %> --quiet',
  ];
  static override flags = {
    filter: Flags.string({
      description:
        'only images where this holds: name, id, managed, docker, packages, kernel, base or in_use',
      helpValue: 'KEY=VALUE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    all: Flags.boolean({ description: 'earlier generations too (NAME@GENERATION)' }),
    sort: Flags.string({
      description: 'name, created, size, virtual or kernel; -KEY turns the order around',
      default: 'name',
      helpValue: 'KEY',
    }),
  };

  async run(): Promise<ListedImage[]> {
    const { flags } = await this.parse(ImageList);
    const { listOf, namesOf } = await import('../../lib/image/list.ts');
    const namesAlone =
      flags.quiet && !this.jsonEnabled() && flags.sort === 'name' && !flags.filter && !flags.all;
    return this.look(flags, async (readings) => {
      if (namesAlone) {
        this.logNames(namesOf(readings.store));
        return [];
      }
      const images = listOf(readings, { filters: flags.filter ?? [], sort: flags.sort, all: flags.all });
      if (flags.quiet) this.logNames(images.map(({ name }) => name));
      else if (!this.jsonEnabled()) {
        const { imageTable } = await import('../../lib/image/report.ts');
        print(imageTable(images));
        if (images.length === 0 && !flags.filter && isTerminal(2)) {
          this.logToStderr('no images yet; make a first one: banger image bootstrap debian-base');
        }
      }
      return images;
    });
  }
}
