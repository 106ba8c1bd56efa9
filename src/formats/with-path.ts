import { GhostkitError } from '../tensor/error.js';
import { printable } from './text.js';

/** What `make` returns or resolves to; the path of the file that it is about goes in front of an error's message. */
export function withPath<T>(path: string, make: () => T): T {
  const named = (error: unknown): never => {
    if (!(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(`${printable(path, 500)}: ${error.message}`, { cause: error });
  };
  try {
    const made = make();
    return made instanceof Promise ? (made.catch(named) as T) : made;
  } catch (error) {
    return named(error);
  }
}
