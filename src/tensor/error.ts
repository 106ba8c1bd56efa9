/**
 * An error whose message is meant for the person at the terminal: one line that says what was wrong, where, and what to do.
 * Anything else that is thrown is a defect of ghostkit.
 */
export class GhostkitError extends Error {
  override name = 'GhostkitError';
}
