import { GhostkitError } from '../../tensor/error.js';
import type { Random } from '../random.js';

/** Mixing of the pictures of a batch, with targets to match: mixup (Zhang et al., 2017) and CutMix (Yun et al., 2019), as timm has it. */
export interface Mixing {
  /** Parameter of mixup's beta distribution; 0 for no mixup. */
  readonly mixup: number;
  /** Parameter of CutMix's beta distribution; 0 for no CutMix. */
  readonly cutmix: number;
  /** Probability that a batch is mixed. */
  readonly probability: number;
  /** Probability of CutMix where both could be. */
  readonly switchProbability: number;
}

/** What is done to one batch: pictures `i` and `count - 1 - i` are mixed with the weights `share` and `1 - share`. */
export interface Mix {
  readonly kind: 'none' | 'mixup' | 'cutmix';
  readonly share: number;
  /** For CutMix: the rows and columns that come from the other picture. */
  readonly box?: { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number };
}

/** Draws how a batch is mixed. CutMix's weight is the area that is left, its box being cut at the border. */
export function drawMix({ mixup, cutmix, probability, switchProbability }: Mixing, size: number, random: Random): Mix {
  if ((mixup === 0 && cutmix === 0) || !random.chance(probability)) return { kind: 'none', share: 1 };
  const cuts = cutmix > 0 && (mixup === 0 || random.chance(switchProbability));
  if (!cuts) return { kind: 'mixup', share: random.beta(mixup) };
  const side = Math.trunc(size * Math.sqrt(1 - random.beta(cutmix)));
  const range = (center: number) => {
    const start = center - Math.floor(side / 2);
    return [Math.max(0, start), Math.min(size, start + side)];
  };
  const [top, bottom] = range(random.below(size));
  const [left, right] = range(random.below(size));
  const box = { top, bottom, left, right };
  return { kind: 'cutmix', share: 1 - ((bottom - top) * (right - left)) / (size * size), box };
}

/** Mixes pictures `[count, 3, size, size]` in place. */
export function mixImages(images: Float32Array, count: number, size: number, { kind, share, box }: Mix): void {
  const length = 3 * size * size;
  const pairs = Math.floor(count / 2);
  for (let n = 0; n < pairs; n++) {
    const a = images.subarray(n * length, (n + 1) * length);
    const b = images.subarray((count - 1 - n) * length, (count - n) * length);
    if (kind === 'mixup') {
      for (let i = 0; i < length; i++) {
        const [x, y] = [a[i], b[i]];
        a[i] = share * x + (1 - share) * y;
        b[i] = share * y + (1 - share) * x;
      }
    } else if (box) {
      for (let row = 0; row < 3 * size; row++) {
        const y = row % size;
        if (y < box.top || y >= box.bottom) continue;
        for (let i = row * size + box.left; i < row * size + box.right; i++) {
          const kept = a[i];
          a[i] = b[i];
          b[i] = kept;
        }
      }
    }
  }
}

/**
 * The targets `[count, classes]` of a mixed batch: of each picture's two labels in their shares, `smoothing` of the whole spread evenly
 * over all classes (which is label smoothing: the loss must not smooth again). Rows sum to 1.
 */
export function mixTargets(
  labels: Int32Array,
  count: number,
  classes: number,
  smoothing: number,
  share: number,
  out: Float32Array,
): void {
  if (out.length < count * classes) throw new GhostkitError(`targets: ${count * classes} numbers do not fit`);
  out.fill(smoothing / classes, 0, count * classes);
  for (let n = 0; n < count; n++) {
    out[n * classes + labels[n]] += (1 - smoothing) * share;
    out[n * classes + labels[count - 1 - n]] += (1 - smoothing) * (1 - share);
  }
}
