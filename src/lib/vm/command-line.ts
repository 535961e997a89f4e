/**
 * What ssh(1) is to hand on, which the guest's login shell reads as one line.
 * @param words one: such a line; several: a program and its arguments
 */
export function guestCommand(words: readonly string[]): string[] {
  return words.length > 1 ? [words.map(quoteWord).join(' ')] : [...words];
}

/** A word as any POSIX shell takes it. */
function quoteWord(word: string): string {
  return /^[\w%+,./:=@-]+$/u.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
