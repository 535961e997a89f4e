/**
 * Does several things at once. The first that fails aborts the others; when this returns or throws, all have ended.
 * @throws what the first to fail threw
 */
export async function sideBySide(
  signal: AbortSignal,
  works: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failed = new AbortController();
  const common = AbortSignal.any([signal, failed.signal]);
  const failures: unknown[] = [];
  await Promise.all(
    works.map(async (work) => {
      try {
        await work(common);
      } catch (error) {
        failures.push(error);
        failed.abort(error);
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}
