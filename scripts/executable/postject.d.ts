declare module 'postject' {
  /** Puts bytes into an executable as a section of this name; it is changed in place. */
  export function inject(
    executable: string,
    name: string,
    content: Uint8Array,
    options: { sentinelFuse: string },
  ): Promise<void>;
}
