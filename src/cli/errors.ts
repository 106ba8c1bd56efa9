import { CommanderError } from 'commander';
import { GhostkitError } from '../tensor/error.js';

/** A command was called in a way that it cannot be: exit code 2. */
export class UsageError extends GhostkitError {
  override name = 'UsageError';
}

/** The exit code of an interrupted process: 128 and the number of the signal. */
export const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** What an error makes of the process: one line for the person (none after `--help`), and the exit code. */
export function explainError(error: unknown): { line?: string; exitCode: number } {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return { exitCode: 0 };
    // The parser puts its suggestion on a line of its own.
    const line = error.message.replace(/^error: /, '').replace(/\n\(Did you mean (.*)\)$/, '; did you mean $1');
    return { line: oneLine(line), exitCode: 2 };
  }
  if (error instanceof GhostkitError) {
    return { line: oneLine(error.message), exitCode: error instanceof UsageError ? 2 : 1 };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { line: `unexpected: ${oneLine(message)} (--debug shows where)`, exitCode: 1 };
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
