/** What ends a process in good order, and its exit code then: 128 and the number of the signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

type Signal = keyof typeof EXIT_CODES;

/** What comes this soon after the first is the same key, which npm and its like hand on a second time. */
const ECHO_MS = 300;

/**
 * Runs a task that ends in good order when it is interrupted: the first Ctrl-C aborts the signal it is given. After that nobody listens, so
 * that another one ends the process whatever it is at. The exit code is that of the interruption, if there was one that the task heeded.
 */
export async function interruptible<T>(
  task: (signal: AbortSignal) => Promise<T>,
): Promise<{ result: T; code?: number }> {
  const controller = new AbortController();
  let code: number | undefined;
  const names = Object.keys(EXIT_CODES) as Signal[];
  const release = () => {
    for (const name of names) process.off(name, stop);
  };
  const stop = (name: Signal) => {
    if (code !== undefined) return;
    code = EXIT_CODES[name];
    controller.abort();
    // It does not keep a process that is done.
    setTimeout(release, ECHO_MS).unref();
  };
  for (const name of names) process.on(name, stop);
  try {
    const result = await task(controller.signal);
    return { result, ...(code !== undefined && { code }) };
  } finally {
    // A task may have ended before the echo, which is not to end what is left to say.
    if (code === undefined) release();
  }
}
