import { GhostkitError } from '../tensor/error.js';

/** What every classifier of ghostkit can be asked for. */
export interface ClassifierOptions {
  /** Multiplies the channels of every layer but the input and the classifier; default 1. */
  width?: number;
  /** Classes to tell apart, the length of `logits`; default 1000. */
  classes?: number;
  /** Channels of the input image; default 3. */
  inChannels?: number;
  /** Stride of the first convolution; default 2, 1 keeps more of small images. */
  stemStride?: number;
  /** Share of the features dropped before the classifier while training; default 0.2. */
  dropout?: number;
}

const atLeastOne = (v: number) => Number.isInteger(v) && v >= 1;

/** The options with their defaults, checked: throws a {@link GhostkitError} that names the option. */
export function classifierOptions(options: ClassifierOptions): Required<ClassifierOptions> {
  const { width = 1, classes = 1000, inChannels = 3, stemStride = 2, dropout = 0.2 } = options;
  const need = (name: keyof ClassifierOptions, ok: boolean, what: string, got: unknown) => {
    if (!ok) throw new GhostkitError(`${name} must be ${what}, got ${String(got)}`);
  };
  need('width', width > 0 && Number.isFinite(width), 'a positive number', width);
  need('classes', atLeastOne(classes), 'a positive integer', classes);
  need('inChannels', atLeastOne(inChannels), 'a positive integer', inChannels);
  need('stemStride', atLeastOne(stemStride), 'a positive integer', stemStride);
  need('dropout', dropout >= 0 && dropout < 1, 'at least 0 and less than 1', dropout);
  return { width, classes, inChannels, stemStride, dropout };
}

/** The options in the place of the defaults; one that is `undefined` is none. */
export function withDefaults<T extends object>(defaults: T, options: T): T {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) };
}

/** The zeros on each side with which a kernel keeps the size of the image at stride 1; of an even one, as many as the originals have. */
export function samePadding(kernel: number, dilation: number | readonly [number, number]): [number, number] {
  const of = (d: number) => Math.floor((d * (kernel - 1) + 1) / 2);
  return typeof dilation === 'number' ? [of(dilation), of(dilation)] : [of(dilation[0]), of(dilation[1])];
}

/** Throws unless `kernel` is an odd number: only then does `padding = floor(kernel / 2)` keep the size of the image. */
export function needOddKernel(where: string, kernel: number, name = 'dwKernel'): void {
  if (!atLeastOne(kernel) || kernel % 2 === 0) {
    throw new GhostkitError(`${where}: ${name} must be an odd number, got ${kernel}`);
  }
}

/** Throws unless `ratio` is one that a Ghost module can have: with 1, nothing would be left to generate. */
export function needRatio(where: string, ratio: number): void {
  if (!Number.isInteger(ratio) || ratio < 2) {
    throw new GhostkitError(`${where}: ratio must be an integer of at least 2, got ${ratio}`);
  }
}
