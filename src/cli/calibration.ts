import { join } from 'node:path';
import { glob } from 'tinyglobby';
import { IMAGE_EXTENSIONS, loadImage } from '../data/image.js';
import { type Preprocessing, toTensor } from '../data/transform.js';
import { GhostkitError } from '../tensor/error.js';
import type { FloatTensor } from '../tensor/tensor.js';
import type { Io } from './output.js';
import { progress } from './progress.js';

/** Pictures that ranges are measured on, unless another number is asked for. More hardly change them. */
export const CALIBRATION_PICTURES = 256;

/**
 * Pictures of a folder and of those in it, evenly chosen, each as a network sees it: `[1,3,size,size]`. What cannot be read is left out with a
 * line.
 *
 * @throws GhostkitError when there is none.
 */
export async function readCalibration(
  io: Io,
  folder: string,
  preprocessing: Preprocessing,
  count = CALIBRATION_PICTURES,
): Promise<FloatTensor[]> {
  const pattern = `**/*.{${IMAGE_EXTENSIONS.join(',')}}`;
  const found = await glob(pattern, { cwd: folder, caseSensitiveMatch: false });
  const paths = found.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const step = Math.max(1, paths.length / count);
  const chosen = Array.from({ length: Math.min(count, paths.length) }, (_, i) => paths[Math.floor(i * step)]);
  const bar = progress(io.err, 'calibration pictures', chosen.length);
  const tensors: FloatTensor[] = [];
  for (const [i, path] of chosen.entries()) {
    try {
      tensors.push(toTensor(await loadImage(join(folder, path)), preprocessing));
    } catch (error) {
      if (!(error instanceof GhostkitError)) throw error;
      bar.clear();
      io.err.write(`left out: ${error.message}\n`);
    }
    bar.update(i + 1);
  }
  bar.clear();
  if (tensors.length === 0) throw new GhostkitError(`${folder}: there is no picture for calibration that can be read`);
  return tensors;
}
