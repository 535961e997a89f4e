import type { Volume } from '../ext4/volume.ts';

/** Blocks that follow each other on the disk. */
export interface Stretch {
  first: number;
  count: number;
}

/** Which blocks of a filesystem are in use; gives out free ones from the beginning on, each once. */
export class BlockMap {
  readonly #bits: Uint8Array;
  readonly #blockCount: number;
  #next: number;

  constructor({ geometry: { blockCount } }: Pick<Volume, 'geometry'>) {
    this.#bits = new Uint8Array(Math.ceil(blockCount / 8));
    this.#blockCount = blockCount;
    this.#next = 0;
  }

  isUsed(block: number): boolean {
    return ((this.#bits[block >>> 3] ?? 0) & (1 << (block & 7))) !== 0;
  }

  use({ first, count }: Stretch): void {
    for (let block = first; block < first + count; block += 1) {
      this.#bits[block >>> 3] = (this.#bits[block >>> 3] ?? 0) | (1 << (block & 7));
    }
  }

  release({ first, count }: Stretch): void {
    for (let block = first; block < first + count; block += 1) {
      this.#bits[block >>> 3] = (this.#bits[block >>> 3] ?? 0) & ~(1 << (block & 7));
    }
  }

  /** The next free blocks, as many as follow each other and no more than `most`; null when there is none left. */
  take(most: number): Stretch | null {
    while (this.#next < this.#blockCount && this.isUsed(this.#next)) {
      this.#next += this.#bits[this.#next >>> 3] === 0xff ? 8 - (this.#next & 7) : 1;
    }
    if (this.#next >= this.#blockCount) return null;
    const first = this.#next;
    const end = Math.min(this.#blockCount, first + most);
    while (this.#next < end && !this.isUsed(this.#next)) this.#next += 1;
    const stretch = { first, count: this.#next - first };
    this.use(stretch);
    return stretch;
  }
}
