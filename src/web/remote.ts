import { preloadKernels } from '../runtime/executor.js';
import { GhostkitError } from '../tensor/error.js';
import { download } from './download.js';
import type { Backend, WebLoadOptions } from './load.js';
import { sendable, unreadable } from './picture.js';
import type { Answers, Close, Request, Response } from './protocol.js';

type Ask = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

interface Waiting {
  readonly resolve: (answer: Answers[keyof Answers]) => void;
  readonly reject: (error: unknown) => void;
}

/** How long a worker may take to close. It may hang, or not have started. */
const CLOSING_MS = 1000;

/** A worker and what is asked of it. */
class Remote {
  private readonly worker = openWorker();
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;
  private readonly life = new AbortController();
  /** Aborted, for the reason why, where the worker is of no use any more. */
  readonly ended = this.life.signal;

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<Response>) => this.receive(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.fail(event.message || 'its script is missing or may not run');
    };
    // Chromium has no onmessageerror for it.
    this.worker.addEventListener('messageerror', () => this.fail('what it sent cannot be read'));
  }

  ask<K extends Ask['ask']>(request: Ask & { ask: K }, transfer: Transferable[] = []): Promise<Answers[K]> {
    return new Promise((resolve, reject) => {
      this.ended.throwIfAborted();
      const id = this.count++;
      this.worker.postMessage({ ...request, id }, transfer);
      this.waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
    });
  }

  /** Whoever still waits gets the error. */
  end(error: unknown): void {
    if (this.ended.aborted) return;
    this.life.abort(error);
    this.worker.postMessage({ ask: 'close' } satisfies Close);
    setTimeout(() => this.worker.terminate(), CLOSING_MS);
    for (const { reject } of this.waiting.values()) reject(this.ended.reason);
    this.waiting.clear();
  }

  private fail(why: string): void {
    this.end(new GhostkitError(`the worker failed (${why}); is model-worker.js served beside the script of ghostkit?`));
  }

  private receive(response: Response): void {
    const waiting = this.waiting.get(response.id);
    if (!waiting) return;
    this.waiting.delete(response.id);
    if ('answer' in response) waiting.resolve(response.answer);
    else waiting.reject(response.expected ? new GhostkitError(response.error) : new Error(response.error));
  }
}

function openWorker(): Worker {
  try {
    // In one expression: bundlers look for it.
    return new Worker(new URL('./model-worker.js', import.meta.url), { type: 'module' });
  } catch (error) {
    throw new GhostkitError(
      'no worker can be started here: serve ghostkit from the site of the page, or load with { worker: false }',
      { cause: error },
    );
  }
}

/** Loads a model in a worker of its own. The worker starts while the page fetches what it will need. */
export async function startWorker(url: string, options: WebLoadOptions & { threads: number }): Promise<Backend> {
  const { threads, relaxed, signal } = options;
  const remote = new Remote();
  const abort = () => remote.end(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  // Not the worker's own signal: whoever keeps a copy of what is fetched may still read it when the model is closed.
  const fetching = new AbortController();
  const cancel = () => fetching.abort(remote.ended.reason);
  remote.ended.addEventListener('abort', cancel);
  try {
    const [bytes, kernels] = await Promise.all([
      download(url, { ...options, signal: fetching.signal }),
      preloadKernels({ threads, relaxed }),
    ]);
    const facts = await remote.ask({ ask: 'load', bytes, kernels, threads, relaxed }, [bytes.buffer]);
    return {
      facts,
      async classify(source, topK) {
        const { picture, transfer } = await sendable(source);
        const answer = remote.ask({ ask: 'classify', picture, topK }, transfer);
        // Nothing is left of it here, unless it could not be sent.
        for (const bitmap of transfer) bitmap.close();
        return answer.catch(explainTaint);
      },
      run: (inputs) => remote.ask({ ask: 'run', inputs }),
      close: () => remote.end(new GhostkitError('this model is closed')),
    };
  } catch (error) {
    remote.end(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
    remote.ended.removeEventListener('abort', cancel);
  }
}

/** A picture that may not be read cannot be sent either. */
function explainTaint(error: unknown): never {
  if ((error as Error).name === 'DataCloneError') throw unreadable(error);
  throw error;
}
