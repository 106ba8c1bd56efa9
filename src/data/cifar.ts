import { GhostkitError } from '../tensor/error.js';
import type { Records } from './dataset.js';
import type { ReadText, RecordSplits } from './layouts.js';
import { type Entry, inOrder, type Listing, withEntry } from './listing.js';

/** A label and a picture of 32 x 32 pixels, plane by plane. */
const RECORD = 1 + 3 * 32 * 32;

const CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

const TRAIN = /^data_batch_\d+\.bin$/;
const TEST = /^test_batch\.bin$/;

/** Records whose labels are read at a time. */
const AT_A_TIME = 1024;

/** The labels in a batch. */
function labelsIn(entry: Entry, classes: number): Uint8Array {
  return withEntry(entry, 'batches', (size, read) => {
    if (size === 0 || size % RECORD !== 0) {
      throw new GhostkitError(`${size} bytes are no whole number of CIFAR-10's pictures`);
    }
    const labels = new Uint8Array(size / RECORD);
    for (let first = 0; first < labels.length; first += AT_A_TIME) {
      const count = Math.min(AT_A_TIME, labels.length - first);
      const bytes = read(first * RECORD, count * RECORD);
      for (let i = 0; i < count; i++) labels[first + i] = bytes[i * RECORD];
    }
    const wrong = labels.findIndex((label) => label >= classes);
    if (wrong >= 0) throw new GhostkitError(`picture ${wrong} has class ${labels[wrong]} of ${classes}`);
    return labels;
  });
}

/** Whether this is CIFAR-10's binary version. */
export function isCifar({ entries }: Listing): boolean {
  return entries.some(({ path }) => TRAIN.test(path));
}

function records(entries: readonly Entry[], classes: readonly string[]): Records {
  const labels: number[] = [];
  const names: string[] = [];
  const file: number[] = [];
  const offset: number[] = [];
  const files = inOrder(new Set(entries.map((entry) => entry.file)));
  for (const entry of entries) {
    const number = files.indexOf(entry.file);
    for (const [i, label] of labelsIn(entry, classes.length).entries()) {
      labels.push(label);
      names.push(`${entry.path}#${i}`);
      file.push(number);
      offset.push(entry.offset + i * RECORD + 1);
    }
  }
  const parts = {
    file: Int32Array.from(file),
    offset: Float64Array.from(offset),
    size: new Float64Array(file.length).fill(RECORD - 1),
  };
  return { classes, labels: Int32Array.from(labels), names, encoding: 'planes', files, parts };
}

/** CIFAR-10's binary version: five batches to train on, and the test batch. */
export function cifarSplits(listing: Listing, readText: ReadText): RecordSplits {
  const matching = (pattern: RegExp) => listing.entries.filter(({ path }) => pattern.test(path));
  const [meta] = matching(/^batches\.meta\.txt$/);
  const named = meta && readText(meta).trim().split(/\r?\n/);
  const classes = named && named.length === CLASSES.length ? named : CLASSES;
  const test = matching(TEST);
  const train = records(matching(TRAIN), classes);
  return { train, ...(test.length > 0 && { val: records(test, classes) }) };
}
