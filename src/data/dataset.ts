import { GhostkitError } from '../tensor/error.js';
import { permutation, Random } from './random.js';
import type { RgbImage } from './resample.js';

/** Pictures with the numbers of their classes. */
export interface Dataset {
  /** The names of the classes in the order of their numbers, for a person. */
  readonly classes: readonly string[];
  /** How many pictures there are. */
  readonly length: number;
  /** The class of picture `i`. */
  label(i: number): number;
  /** Where picture `i` comes from, unique in the set and the same on every machine. */
  name(i: number): string;
  /**
   * Decodes picture `i`; with `shortSide`, a larger one may come shrunk to that short side.
   *
   * @throws GhostkitError when it cannot be read or is no picture.
   */
  pixels(i: number, options?: { readonly shortSide?: number }): Promise<RgbImage>;
  /** What another thread needs to read the same pictures; a set without it is read by the thread that has it. */
  readonly records?: Records;
}

/** Where the pictures of a set are, as plain data that a thread can be sent. */
export interface Records {
  readonly classes: readonly string[];
  readonly labels: Int32Array;
  readonly names: readonly string[];
  /** `encoded`: files as cameras write them; `planes`: red, green and blue planes of 32 x 32 bytes, as CIFAR-10 has them. */
  readonly encoding: 'encoded' | 'planes';
  /** The files that hold the pictures; relative ones count from the working folder. */
  readonly files: readonly string[];
  /** For each picture its file, unless each has its own: then none of the three is there. */
  readonly parts?: {
    readonly file: Int32Array;
    /** Bytes from the start of the file. Float64, for files of over 2 GiB. */
    readonly offset: Float64Array;
    readonly size: Float64Array;
  };
}

function check(index: number, length: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= length) {
    throw new GhostkitError(`picture ${index}: the data set has pictures 0 to ${length - 1}`);
  }
}

/** A set of decoded pictures in memory. */
export class MemoryDataset implements Dataset {
  constructor(
    readonly classes: readonly string[],
    private readonly pictures: readonly { readonly image: RgbImage; readonly label: number; readonly name?: string }[],
  ) {
    for (const { label } of pictures) {
      if (!(label in classes)) throw new GhostkitError(`there is no class ${label} among ${classes.length}`);
    }
  }

  get length(): number {
    return this.pictures.length;
  }

  label(i: number): number {
    check(i, this.length);
    return this.pictures[i].label;
  }

  name(i: number): string {
    check(i, this.length);
    return this.pictures[i].name ?? `picture ${i}`;
  }

  async pixels(i: number): Promise<RgbImage> {
    check(i, this.length);
    return this.pictures[i].image;
  }
}

/** Some pictures of another set, in the order of `indices`. */
class Subset implements Dataset {
  readonly records?: Records;

  constructor(
    private readonly from: Dataset,
    private readonly indices: Int32Array,
  ) {
    for (const i of indices) check(i, from.length);
    if (from.records) this.records = selectRecords(from.records, indices);
  }

  get classes(): readonly string[] {
    return this.from.classes;
  }

  get length(): number {
    return this.indices.length;
  }

  label(i: number): number {
    return this.from.label(this.indices[i]);
  }

  name(i: number): string {
    return this.from.name(this.indices[i]);
  }

  pixels(i: number, options?: { readonly shortSide?: number }): Promise<RgbImage> {
    return this.from.pixels(this.indices[i], options);
  }
}

function selectRecords(records: Records, indices: Int32Array): Records {
  const { parts, files, labels, names } = records;
  const selected = { ...records, labels: indices.map((i) => labels[i]), names: Array.from(indices, (i) => names[i]) };
  if (!parts) return { ...selected, files: Array.from(indices, (i) => files[i]) };
  const at = (values: Float64Array) => Float64Array.from(indices, (i) => values[i]);
  return {
    ...selected,
    parts: { file: indices.map((i) => parts.file[i]), offset: at(parts.offset), size: at(parts.size) },
  };
}

/** The pictures with the given numbers, in that order. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  return new Subset(dataset, Int32Array.from(indices));
}

/** The pictures of each class, in an order drawn from `seed`. */
function shuffledByClass(dataset: Dataset, seed: number): Int32Array[] {
  const byClass = dataset.classes.map((): number[] => []);
  for (let i = 0; i < dataset.length; i++) byClass[dataset.label(i)].push(i);
  return byClass.map((pictures, c) => permutation(pictures.length, new Random(seed, c)).map((i) => pictures[i]));
}

const inOrder = (parts: readonly Int32Array[]): number[] => parts.flatMap((part) => [...part]).sort((a, b) => a - b);

/**
 * Splits a set in two: `share` (between 0 and 1) of each class, drawn from `seed`, goes to the second, but at least one picture of a class
 * and never its only one. Both keep the order of the set.
 */
export function split(dataset: Dataset, share: number, seed = 0): [rest: Dataset, held: Dataset] {
  if (!(share > 0 && share < 1)) throw new GhostkitError(`the share must be between 0 and 1, got ${share}`);
  const groups = shuffledByClass(dataset, seed);
  const counts = groups.map(({ length }) => Math.min(length - 1, Math.max(1, Math.round(length * share))));
  const cut = counts.map((count) => Math.max(0, count));
  return [
    subset(dataset, inOrder(groups.map((group, c) => group.subarray(cut[c])))),
    subset(dataset, inOrder(groups.map((group, c) => group.subarray(0, cut[c])))),
  ];
}

/** `count` pictures of each class, drawn from `seed`, or all of a class that has fewer, in the order of the set. */
export function perClass(dataset: Dataset, count: number, seed = 0): Dataset {
  if (!Number.isInteger(count) || count < 1)
    throw new GhostkitError(`pictures per class: a positive integer, got ${count}`);
  return subset(dataset, inOrder(shuffledByClass(dataset, seed).map((group) => group.subarray(0, count))));
}
