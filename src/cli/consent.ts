import { createInterface } from 'node:readline/promises';
import { CONSENT_TEXT, hasConsented, rememberConsent } from '../headswap/consent.js';
import { GhostkitError } from '../tensor/error.js';
import type { Io } from './output.js';

/** Where a person answers; absent where nobody can. */
export type Ask = (question: string) => Promise<string>;

/** Asks on the terminal, if both ends of it are one. */
export function terminalAsk(io: Io): Ask | undefined {
  if (!process.stdin.isTTY || !io.err.isTTY) return undefined;
  return async (question) => {
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    // Ctrl-C ends the process as elsewhere, with the terminal as it was; the end of the input is no answer.
    lines.once('SIGINT', () => {
      lines.close();
      process.kill(process.pid, 'SIGINT');
    });
    const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
    try {
      return await Promise.race([lines.question(question), ended]);
    } finally {
      lines.close();
    }
  };
}

/**
 * Makes sure that the person has agreed to what a head swap asks for: by `--consent`, once before, or now on the terminal.
 *
 * @throws GhostkitError where nobody has agreed and nobody can be asked, or the answer is no.
 */
export async function requireConsent(io: Io, given: boolean | undefined, ask = terminalAsk(io)): Promise<void> {
  if (given || (await hasConsented())) return;
  if (!ask) {
    throw new GhostkitError(
      'everyone in both pictures must have agreed to this; say so with --consent, or once on a terminal',
    );
  }
  io.err.write(`${CONSENT_TEXT}\n`);
  const answer = await ask('Type yes to agree: ');
  if (!/^y(es)?$/i.test(answer.trim())) throw new GhostkitError('nothing was done: a head swap needs your agreement');
  await rememberConsent();
}
