import { initial } from './0001-initial.ts';
import { generations } from './0002-generations.ts';
import { stepCache } from './0003-step-cache.ts';
import { vms } from './0004-vms.ts';

/** Every migration in its order; `PRAGMA user_version` counts how many a database has had. */
export const migrations: Readonly<Record<string, string>> = {
  '0001_initial': initial,
  '0002_generations': generations,
  '0003_step_cache': stepCache,
  '0004_vms': vms,
};
