/** What has threads or memory until it is closed. */
export interface Closable {
  close(): void | Promise<void>;
}

/** Closes all, those behind one that cannot be closed too; then throws what the first such one threw. */
export async function closeAll(all: readonly Closable[]): Promise<void> {
  const closed = await Promise.allSettled(all.map(async (each) => each.close()));
  for (const each of closed) if (each.status === 'rejected') throw each.reason;
}

/** Makes one thing of several: what `make` has given to `keep` is closed when it fails after all. */
export async function keepingAll<R>(
  make: (keep: <T extends Closable>(making: Promise<T>) => Promise<T>) => Promise<R>,
): Promise<R> {
  const kept: Closable[] = [];
  try {
    return await make(async (making) => {
      const made = await making;
      kept.push(made);
      return made;
    });
  } catch (error) {
    // Why it failed is what counts.
    await closeAll(kept).catch(() => {});
    throw error;
  }
}
