import type { Bench, Ratio } from './measure.ts';

export async function benchBuild(_bench: Bench, _cache: string): Promise<Ratio[]> {
  return [];
}
