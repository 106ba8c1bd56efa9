import { loadImage } from '../data/image.js';
import { isPicture, listFolder } from '../data/listing.js';
import { type Preprocessing, toTensor } from '../data/transform.js';
import { printable } from '../formats/text.js';
import type { Module } from '../nn/module.js';
import { checkCalibration } from '../quantize/quantize.js';
import { GhostkitError } from '../tensor/error.js';
import type { FloatTensor } from '../tensor/tensor.js';
import { type Io, writeLine } from './output.js';
import { progress } from './progress.js';
import { machineSettings } from './training-options.js';

/** Pictures that ranges are measured on, unless another number is asked for. More hardly change them. */
export const CALIBRATION_PICTURES = 256;

/**
 * Pictures of a folder and of those in it, evenly chosen, each as a network sees it: `[1,3,size,size]`. What cannot be read is left out with a
 * line.
 *
 * @throws GhostkitError when there is none, or, before any is read, when calibrating `model` on them takes too much memory.
 */
export async function readCalibration(
  io: Io,
  folder: string,
  model: Module,
  preprocessing: Preprocessing,
  count = CALIBRATION_PICTURES,
): Promise<FloatTensor[]> {
  const found = listFolder(folder, { outside: true }).entries.filter(({ path }) => isPicture(path));
  const pictures = found.sort((a, b) => a.path.localeCompare(b.path, 'en', { numeric: true }));
  const step = Math.max(1, pictures.length / count);
  const chosen = Array.from({ length: Math.min(count, pictures.length) }, (_, i) => pictures[Math.floor(i * step)]);
  const { size } = preprocessing;
  if (chosen.length > 0)
    checkCalibration(model, [chosen.length, 3, size, size], { threads: machineSettings().threads });
  const bar = progress(io.err, 'calibration pictures', chosen.length);
  const tensors: FloatTensor[] = [];
  for (const [i, { file }] of chosen.entries()) {
    try {
      tensors.push(toTensor(await loadImage(file), preprocessing));
    } catch (error) {
      if (!(error instanceof GhostkitError)) throw error;
      bar.clear();
      writeLine(io.err, `left out: ${error.message}`);
    }
    bar.update(i + 1);
  }
  bar.clear();
  if (tensors.length === 0)
    throw new GhostkitError(`${printable(folder, 500)}: there is no picture for calibration that can be read`);
  return tensors;
}
