import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../formats/text.js';

/** Why a stream takes nothing more, for a person. */
function reasonOf(error: NodeJS.ErrnoException): string {
  const reasons: Record<string, string> = {
    EPIPE: 'nobody reads it any more',
    ENOSPC: 'no space is left on the disk',
    EDQUOT: 'the disk quota is used up',
    EIO: 'its terminal is gone',
  };
  return reasons[error.code ?? ''] ?? messageOf(error);
}

function leave(error: NodeJS.ErrnoException): void {
  // A reader that has seen enough (`ghostkit models | head`) is no error.
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`error: cannot write to the standard output: ${reasonOf(error)}\n`);
  process.exit(1);
}

let onLost = leave;

/** Sees to it that standard streams which take nothing more are no crash: without the output the command ends, without the other it goes on. */
export function watchStreams(): void {
  process.stdout.on('error', (error) => onLost(error));
  // There is nowhere left to say it, and what the command does it can do unheard.
  process.stderr.on('error', () => {});
}

/** Runs a task that is worth more than what it prints: it goes on when the standard output takes nothing more, which `lost` is told once. */
export async function outlivingOutput<T>(lost: (reason: string) => void, task: () => Promise<T>): Promise<T> {
  let told = false;
  onLost = (error) => {
    if (!told) lost(reasonOf(error));
    told = true;
  };
  try {
    return await task();
  } finally {
    // What became of the last lines is told a turn of the event loop behind them.
    await setImmediate();
    onLost = leave;
  }
}
