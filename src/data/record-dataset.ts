import { closeSync } from 'node:fs';
import { checkSize, openRegular, readBytes, readPart } from '../formats/files.js';
import { printable } from '../formats/text.js';
import { withPath } from '../formats/with-path.js';
import { GhostkitError } from '../tensor/error.js';
import type { Dataset, Records } from './dataset.js';
import { loadImage } from './image.js';
import type { RgbImage } from './resample.js';

/** The side of CIFAR's pictures. */
const CIFAR_SIDE = 32;

function fromPlanes(planes: Uint8Array): RgbImage {
  const pixels = CIFAR_SIDE * CIFAR_SIDE;
  const data = new Uint8Array(3 * pixels);
  for (let i = 0, at = 0; i < pixels; i++, at += 3) {
    data[at] = planes[i];
    data[at + 1] = planes[i + pixels];
    data[at + 2] = planes[i + 2 * pixels];
  }
  return { width: CIFAR_SIDE, height: CIFAR_SIDE, data };
}

/** A set of pictures in files: one a file, or many in few (a tar, CIFAR's batches), which are kept open until {@link close}. */
export class RecordDataset implements Dataset {
  private readonly open = new Map<number, number>();

  constructor(readonly records: Records) {}

  get classes(): readonly string[] {
    return this.records.classes;
  }

  get length(): number {
    return this.records.labels.length;
  }

  label(i: number): number {
    return this.records.labels[i];
  }

  name(i: number): string {
    return this.records.names[i];
  }

  async pixels(i: number, { shortSide }: { readonly shortSide?: number } = {}): Promise<RgbImage> {
    const { parts, files, encoding } = this.records;
    if (!parts) return loadImage(files[i], { shortSide });
    const bytes = this.read(parts.file[i], parts.offset[i], parts.size[i]);
    if (encoding === 'planes') return fromPlanes(bytes);
    return loadImage(bytes, { shortSide, name: this.records.names[i] });
  }

  /** The bytes of picture `i` as they are stored. */
  async bytes(i: number): Promise<Uint8Array> {
    const { parts, files } = this.records;
    return parts ? this.read(parts.file[i], parts.offset[i], parts.size[i]) : readBytes(files[i], 'pictures');
  }

  /** Closes the files that hold several pictures. They are opened again when needed. */
  close(): void {
    for (const descriptor of this.open.values()) closeSync(descriptor);
    this.open.clear();
  }

  private read(file: number, offset: number, size: number): Uint8Array {
    const path = this.records.files[file];
    const bytes = withPath(path, () => {
      checkSize(size, 'pictures');
      const descriptor = this.open.get(file) ?? openRegular(path).descriptor;
      this.open.set(file, descriptor);
      return readPart(descriptor, offset, size);
    });
    if (bytes.length < size)
      throw new GhostkitError(`${printable(path, 500)}: the file ends before byte ${offset + size}`);
    return bytes;
  }
}
