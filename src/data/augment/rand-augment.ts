import { GhostkitError } from '../../tensor/error.js';
import type { Random } from '../random.js';
import type { RgbImage } from '../resample.js';
import { type Affine, affine, rotation } from './affine.js';
import { brightness, contrast, saturation, sharpness } from './color.js';
import { autoContrast, equalize, invert, posterize, solarize, solarizeAdd } from './tones.js';

/** RandAugment (Cubuk et al., 2019) in timm's variant. */
export interface RandAugment {
  /** How strong, 0 to 10. */
  readonly magnitude: number;
  /** Deviation of the magnitude, which is drawn for each operation; 0 for none, infinite for uniform from 0 to `magnitude`. */
  readonly deviation: number;
  /** How many operations are drawn for a picture. */
  readonly layers: number;
  /** Probability that an operation that was drawn is done. */
  readonly probability: number;
  /** Whether the strength of every operation increases with the magnitude; in the original that of five does not. */
  readonly increasing: boolean;
}

interface Context {
  readonly random: Random;
  readonly increasing: boolean;
  readonly fill: readonly [number, number, number];
}

/** An operation at `level`, the magnitude over 10. */
type Operation = (image: RgbImage, level: number, context: Context) => RgbImage;

const sign = (value: number, { random }: Context): number => (random.chance(0.5) ? value : -value);

/** A factor around 1, or, in the original, from 0.1 to 1.9: about the middle of the range it changes nothing. */
function factor(level: number, context: Context): number {
  if (context.increasing) return Math.max(0.1, 1 + sign(level * 0.9, context));
  return level * 1.8 + 0.1;
}

const moved = (image: RgbImage, by: Affine, { random, fill }: Context): RgbImage =>
  affine(image, by, random.pick(['bilinear', 'bicubic'] as const), fill);

/** In timm's order: which operation a number draws is part of what a seed means. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  autoContrast,
  equalize,
  invert,
  rotate: (image, level, context) => moved(image, rotation(image, sign(level * 30, context)), context),
  posterize: (image, level, { increasing }) => {
    const bits = Math.trunc(level * 4);
    return posterize(image, increasing ? 4 - bits : bits);
  },
  solarize: (image, level, { increasing }) => {
    const threshold = Math.min(256, Math.trunc(level * 256));
    return solarize(image, increasing ? 256 - threshold : threshold);
  },
  solarizeAdd: (image, level) => solarizeAdd(image, Math.min(128, Math.trunc(level * 110))),
  color: (image, level, context) => saturation(image, factor(level, context)),
  contrast: (image, level, context) => contrast(image, factor(level, context)),
  brightness: (image, level, context) => brightness(image, factor(level, context)),
  sharpness: (image, level, context) => sharpness(image, factor(level, context)),
  shearX: (image, level, context) => moved(image, [1, sign(level * 0.3, context), 0, 0, 1, 0], context),
  shearY: (image, level, context) => moved(image, [1, 0, 0, sign(level * 0.3, context), 1, 0], context),
  translateX: (image, level, context) =>
    moved(image, [1, 0, sign(level * 0.45, context) * image.width, 0, 1, 0], context),
  translateY: (image, level, context) =>
    moved(image, [1, 0, 0, 0, 1, sign(level * 0.45, context) * image.height], context),
};

/** The names of the operations, in the order in which they are drawn from. */
export const RAND_AUGMENT_OPERATIONS = Object.keys(OPERATIONS);

/** Does one operation by name at `magnitude`, 0 to 10. */
export function applyOperation(image: RgbImage, name: string, magnitude: number, context: Context): RgbImage {
  return OPERATIONS[name](image, magnitude / 10, context);
}

/** Draws operations and does them; `fill` is the colour of what a moved picture leaves empty. */
export function randAugment(
  image: RgbImage,
  { magnitude, deviation, layers, probability, increasing }: RandAugment,
  fill: readonly [number, number, number],
  random: Random,
): RgbImage {
  let picture = image;
  for (let i = 0; i < layers; i++) {
    const name = random.pick(RAND_AUGMENT_OPERATIONS);
    if (!random.chance(probability)) continue;
    let level = magnitude;
    if (deviation === Number.POSITIVE_INFINITY) level = random.between(0, magnitude);
    else if (deviation > 0) level += deviation * random.normal();
    picture = applyOperation(picture, name, Math.min(10, Math.max(0, level)), { random, increasing, fill });
  }
  return picture;
}

/**
 * Reads timm's notation: `rand-m9-mstd0.5`, with `m` the magnitude (default 10), `mstd` its deviation (over 100: uniform), `n` the
 * layers (2), `p` the probability (0.5) and `inc1` for strengths that increase.
 *
 * @throws GhostkitError for anything else.
 */
export function parseRandAugment(text: string): RandAugment {
  const [first, ...parts] = text.split('-');
  const wrong = (what: string) => new GhostkitError(`${text}: ${what}; an example is rand-m9-mstd0.5`);
  if (first !== 'rand') throw wrong("RandAugment's notation begins with rand");
  const values: Record<string, number> = { m: 10, mstd: 0, n: 2, p: 0.5, inc: 0 };
  for (const part of parts) {
    const [, key, value] = /^([a-z]+)(\d+(?:\.\d+)?)$/.exec(part) ?? [];
    if (key === undefined || !Object.hasOwn(values, key)) throw wrong(`${part} is not understood`);
    values[key] = Number(value);
  }
  if (values.m > 10 || values.p > 1 || !Number.isInteger(values.n)) throw wrong('a number is out of its range');
  return {
    magnitude: values.m,
    deviation: values.mstd > 100 ? Number.POSITIVE_INFINITY : values.mstd,
    layers: values.n,
    probability: values.p,
    increasing: values.inc > 0,
  };
}
