import type { Stage } from '../pipeline.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import { ensureKeyPair, seedAuthorizedKey } from './ssh-access.ts';

/** The stage that lets the configured key log in: seeds it into a work seed and records its fingerprint in the row. */
export function seedSshStage({ config }: Workspace, workSeed: string, image: ImageRow): Stage {
  return {
    name: 'seed_ssh',
    async run({ signal }) {
      const key = await ensureKeyPair(config.sshKeyPath, { signal });
      await seedAuthorizedKey(workSeed, key.publicKey, { signal });
      image.seeded_ssh_public_key_fingerprint = key.fingerprint;
    },
  };
}
