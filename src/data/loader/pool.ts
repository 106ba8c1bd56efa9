import { Worker } from 'node:worker_threads';
import { GhostkitError } from '../../tensor/error.js';
import type { Records } from '../dataset.js';
import { closedError, type LoaderOptions, type SlotMemory, type Unreadable } from './batch.js';
import type { CacheMemory } from './cache.js';
import type { Makers } from './loader.js';

/** What a worker starts with. */
export interface WorkerData {
  readonly records: Records;
  readonly options: LoaderOptions;
  readonly memory: readonly SlotMemory[];
  readonly cache?: CacheMemory;
}

/** Asks a worker for a batch. */
export interface Task {
  readonly id: number;
  readonly slot: number;
  readonly epoch: number;
  readonly number: number;
}

/** What a worker says: a batch is made, or cannot be, or a picture is unreadable. */
export type Report =
  | { readonly kind: 'made'; readonly id: number; readonly count: number }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string; readonly expected: boolean }
  | { readonly kind: 'unreadable'; readonly picture: Unreadable };

interface Pending {
  readonly resolve: (count: number) => void;
  readonly reject: (error: Error) => void;
}

/** Starts threads that make batches in shared memory. Batches go to them in turn; those that wait for work do not keep the process alive. */
export async function startWorkers(
  count: number,
  data: WorkerData,
  onUnreadable: (picture: Unreadable) => void,
): Promise<Makers> {
  const pending = new Map<number, Pending>();
  let failure: Error | undefined;
  const failAll = (error: Error) => {
    failure = error;
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
  };
  const receive = (report: Report) => {
    if (report.kind === 'unreadable') {
      onUnreadable(report.picture);
      return;
    }
    const task = pending.get(report.id);
    pending.delete(report.id);
    if (pending.size === 0) for (const worker of workers) worker.unref();
    if (report.kind === 'made') task?.resolve(report.count);
    else task?.reject(report.expected ? new GhostkitError(report.message) : new Error(report.message));
  };
  const workers = Array.from({ length: count }, () => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: data });
    worker.on('message', receive);
    worker.on('error', failAll);
    worker.on('exit', (code) => failAll(new Error(`a loader's thread ended with code ${code}`)));
    worker.unref();
    return worker;
  });
  let next = 0;
  return {
    make: (slot, epoch, number) =>
      new Promise((resolve, reject) => {
        if (failure) {
          reject(failure);
          return;
        }
        const id = next++;
        pending.set(id, { resolve, reject });
        for (const worker of workers) worker.ref();
        workers[id % count].postMessage({ id, slot, epoch, number } satisfies Task);
      }),
    close: async () => {
      for (const worker of workers) worker.removeAllListeners('exit');
      failAll(closedError());
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
