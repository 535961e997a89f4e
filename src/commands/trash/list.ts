import { BangerCommand } from '../../lib/command.ts';
import type { Trashed } from '../../lib/image/trash.ts';
import { print } from '../../lib/output.ts';

export default class TrashList extends BangerCommand {
  static override summary = 'list deleted images that can be had back';
  static override description =
    'Managed images that were deleted or pruned are kept for a week, or as many days as trash_days in the configuration says.';
  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<Trashed[]> {
    const { flags } = await this.parse(TrashList);
    const { listTrashed } = await import('../../lib/image/trash.ts');
    const images = await this.look(flags, listTrashed);
    if (flags.quiet) this.logNames(images.map(({ id }) => id));
    else if (!this.jsonEnabled()) {
      const { trashTable } = await import('../../lib/image/trash-report.ts');
      print(trashTable(images));
    }
    return images;
  }
}
