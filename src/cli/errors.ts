import { CommanderError } from 'commander';
import { printable } from '../formats/text.js';
import { GhostkitError, isAllocationFailure } from '../tensor/error.js';

/** A command was called in a way that it cannot be: exit code 2. */
export class UsageError extends GhostkitError {
  override name = 'UsageError';
}

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
  if (isAllocationFailure(error)) {
    const less = 'smaller pictures, or fewer at a time, need less (--debug shows where)';
    return { line: `there is not enough memory for this; ${less}`, exitCode: 1 };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { line: `unexpected: ${oneLine(message)} (--debug shows where)`, exitCode: 1 };
}

/** The most characters of an error that are shown, and how many of them are its end, where the reason stands behind a path. */
const SHOWN = 1200;
const SHOWN_END = 400;

/** A message on one line, without what would move a terminal's cursor: names of strangers are in it. */
function oneLine(text: string): string {
  const shown =
    text.length > SHOWN ? `${text.slice(0, SHOWN - SHOWN_END)} … ${text.slice(text.length - SHOWN_END)}` : text;
  const parts = shown.split('\n').map((part) => part.trim());
  return printable(parts.filter((part) => part !== '').join(' '), Number.POSITIVE_INFINITY);
}
