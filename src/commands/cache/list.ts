import { BangerCommand } from '../../lib/command.ts';
import type { CacheListing } from '../../lib/image/cached-steps.ts';
import { print } from '../../lib/output.ts';

export default class CacheList extends BangerCommand {
  static override summary = 'list what is kept of builds';
  static override description =
    'After each step of a build its root filesystem is kept, so that the next build takes up where something has changed. What has been of no use for longest goes when cache_limit of the configuration is reached. What the cache mounts of recipes hold, and the packages that builds fetched, is kept beside that.';
  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<CacheListing> {
    const { flags } = await this.parse(CacheList);
    const { listCache } = await import('../../lib/image/cached-steps.ts');
    const listing = await this.look(flags, listCache);
    if (flags.quiet) this.logNames([...listing.steps, ...listing.mounts].map(({ id }) => id));
    else if (!this.jsonEnabled()) {
      const { cacheTable } = await import('../../lib/image/cached-steps-report.ts');
      print(cacheTable(listing));
    }
    return listing;
  }
}
