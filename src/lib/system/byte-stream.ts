/** A stream as as many bytes at a time as are asked for. */
export class ByteStream {
  readonly #source: AsyncIterator<Buffer>;
  readonly #tooShort: () => Error;
  #held: Buffer = Buffer.alloc(0);
  #taken = 0;

  /** @param tooShort makes the error of a stream that ends where more is wanted */
  constructor(source: AsyncIterable<Buffer>, tooShort: () => Error) {
    this.#source = source[Symbol.asyncIterator]();
    this.#tooShort = tooShort;
  }

  /** How many bytes were taken or skipped until now. */
  get taken(): number {
    return this.#taken;
  }

  /** The next byte, which is left where it is; null at the end. */
  async peek(): Promise<number | null> {
    if (this.#held.length === 0 && !(await this.#fill())) return null;
    return this.#held.readUInt8(0);
  }

  /** Null at the end; what ends in the middle is broken. */
  async take(length: number): Promise<Buffer | null> {
    return (await this.peek()) === null ? null : this.takeAll(length);
  }

  async takeAll(length: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const piece = await this.some(left);
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) left -= (await this.some(left)).length;
  }

  /** Skips zeros up to the first byte that is none, or to the end. */
  async skipZeros(): Promise<void> {
    while ((await this.peek()) === 0) {
      const other = this.#held.findIndex((byte) => byte !== 0);
      await this.skip(other === -1 ? this.#held.length : other);
    }
  }

  /** At least one. */
  async some(most: number): Promise<Buffer> {
    if (this.#held.length === 0 && !(await this.#fill())) throw this.#tooShort();
    const piece = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(piece.length);
    this.#taken += piece.length;
    return piece;
  }

  /** Tells the source that nothing more is wanted of it. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #fill(): Promise<boolean> {
    for (;;) {
      const { value, done } = await this.#source.next();
      if (done === true) return false;
      if (value.length === 0) continue;
      this.#held = value;
      return true;
    }
  }
}
