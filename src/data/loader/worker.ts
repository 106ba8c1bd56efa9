import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../formats/text.js';
import { GhostkitError } from '../../tensor/error.js';
import { RecordDataset } from '../record-dataset.js';
import { slotOf } from './batch.js';
import { BatchMaker } from './batch-maker.js';
import { PixelCache } from './cache.js';
import type { Report, Task, WorkerData } from './pool.js';

// A thread of a loader: makes the batches that it is asked for, one after the other, in the shared memory.

const { records, options, memory, cache } = workerData as WorkerData;
const slots = memory.map(slotOf);
const report = (message: Report) => parentPort?.postMessage(message);
const maker = new BatchMaker(new RecordDataset(records), options, cache && new PixelCache(cache), (picture) =>
  report({ kind: 'unreadable', picture }),
);

async function make({ id, slot, epoch, number }: Task): Promise<void> {
  try {
    const count = await maker.make(epoch, number, slots[slot]);
    report({ kind: 'made', id, count });
  } catch (error) {
    const expected = error instanceof GhostkitError;
    report({ kind: 'failed', id, message: expected ? error.message : messageOf(error), expected });
  }
}

let last = Promise.resolve();
parentPort?.on('message', (task: Task) => {
  last = last.then(() => make(task));
});
