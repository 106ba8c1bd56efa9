import { GhostkitError } from '../tensor/error.js';

/** ONNX files are read elsewhere, by their name: nothing in them tells them apart. */
export type CheckpointFormat = 'safetensors' | 'pytorch-zip' | 'pytorch-legacy' | 'onnx';

const startsWith = (bytes: Uint8Array, ...prefix: number[]): boolean => prefix.every((b, i) => bytes[i] === b);

const ascii = (bytes: Uint8Array, start: number, end: number): string =>
  String.fromCharCode(...bytes.subarray(start, end));

/** A global followed by its two lines, perhaps below marks: how a pickle of protocol 0 that does anything begins. */
const TEXT_PICKLE = /^\(*[ci][\w.]+\r?\n[\w.]+\r?\n/;

/** What people download by accident, by how it begins. */
const MISTAKES: readonly (readonly [RegExp, string])[] = [
  [/^version https:\/\/git-lfs/, 'a Git LFS pointer, not the file itself; fetch it with git lfs pull'],
  [/^\s*<(!doctype|html|\?xml)/i, 'a web page, not a checkpoint; was the download link a page?'],
  [/^\x89HDF\r\n/, 'an HDF5 (Keras) file, which is not supported'],
];

/**
 * The format of a checkpoint, by its content; names lie (`.pth.tar` is a zip archive). `pickle` is a pickle that is not
 * of PyTorch's legacy format.
 *
 * @throws GhostkitError when it is none of them, saying what it looks like.
 */
export function detectFormat(bytes: Uint8Array): Exclude<CheckpointFormat, 'onnx'> | 'pickle' {
  if (bytes.length === 0) throw new GhostkitError('the file is empty');
  if (startsWith(bytes, 0x50, 0x4b, 0x03, 0x04)) return 'pytorch-zip';
  // A header begins with its length, of which JSON's brace follows; no pickle has a brace there and a small length.
  if (bytes[8] === 0x7b && startsWith(bytes.subarray(4), 0, 0, 0, 0)) return 'safetensors';
  if (bytes[0] === 0x80) {
    // PROTO, then LONG1 of the ten bytes of the magic number.
    return startsWith(bytes.subarray(2), 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46) ? 'pytorch-legacy' : 'pickle';
  }
  const head = ascii(bytes, 0, 300);
  if (TEXT_PICKLE.test(head)) return 'pickle';
  if (startsWith(bytes, 0x1f, 0x8b)) throw new GhostkitError('the file is a gzip archive; unpack it first');
  if (ascii(bytes, 257, 262) === 'ustar') throw new GhostkitError('the file is a tar archive; unpack it first');
  const mistake = MISTAKES.find(([pattern]) => pattern.test(head));
  if (mistake) throw new GhostkitError(`the file is ${mistake[1]}`);
  throw new GhostkitError('the file is neither safetensors nor a PyTorch checkpoint');
}
