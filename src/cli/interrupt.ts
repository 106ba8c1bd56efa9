import { SIGNAL_EXIT_CODES } from './errors.js';

type Signal = keyof typeof SIGNAL_EXIT_CODES;

/**
 * Runs a task that ends in good order when it is interrupted: the first Ctrl-C aborts the signal it is given, another one leaves at once.
 * The exit code is that of the interruption, if there was one that the task heeded.
 */
export async function interruptible<T>(
  task: (signal: AbortSignal) => Promise<T>,
): Promise<{ result: T; code?: number }> {
  const controller = new AbortController();
  let code: number | undefined;
  const names = Object.keys(SIGNAL_EXIT_CODES) as Signal[];
  const before = names.map((name) => [name, process.listeners(name)] as const);
  const stop = (name: Signal) => {
    code = SIGNAL_EXIT_CODES[name];
    if (controller.signal.aborted) process.exit(code);
    controller.abort();
  };
  for (const name of names) {
    process.removeAllListeners(name);
    process.on(name, stop);
  }
  try {
    const result = await task(controller.signal);
    return { result, ...(code !== undefined && { code }) };
  } finally {
    for (const [name, listeners] of before) {
      process.removeAllListeners(name);
      for (const listener of listeners) process.on(name, listener);
    }
  }
}
