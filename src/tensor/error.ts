/**
 * An error whose message is meant for the person at the terminal: one line that says what was wrong, where, and what to do.
 * Anything else that is thrown is a defect of ghostkit.
 */
export class GhostkitError extends Error {
  override name = 'GhostkitError';
}

/** Whether an error is what JavaScript throws when an array does not fit into memory. */
export function isAllocationFailure(error: unknown): boolean {
  return (
    error instanceof RangeError && /allocation failed|Invalid typed array length|out of memory/i.test(error.message)
  );
}
