import { input } from '../../graph/leaves.js';
import type { Graph } from '../../graph/value.js';
import { type CompileOptions, compileGraph } from '../../nn/compile.js';
import { correlation } from '../../ops/index.js';
import type { CompiledModel } from '../../runtime/compiled-model.js';
import { type FloatTensor, float32 } from '../../tensor/tensor.js';
import type { PartPlan } from './blender-parts.js';
import { type Image, resized } from './images.js';
import { type Mask, resizeMask } from './masks.js';

/** The original's temperature: nearly always one pixel gives the whole colour. */
export const TEMPERATURE = 0.001;

/** Pairs of masks in one run: the fourteen parts of a head and the margin around it. */
const SLOTS = 15;

/** Which pixels get colours, and which give them: masks of the pictures' size. */
export type MaskPair = Pick<PartPlan, 'source' | 'target'>;

/** The features of a picture, `[1,C,h,w]`. */
export type Features = FloatTensor;

/** Gives pixels of the source's picture the colours of pixels of the target's that have like features. */
export class ColourReference {
  private constructor(
    private readonly net: CompiledModel,
    private readonly height: number,
    private readonly width: number,
  ) {}

  /** For features `[1,channels,height,width]` of both pictures. */
  static async create(
    channels: number,
    height: number,
    width: number,
    options: Omit<CompileOptions, 'input' | 'features'>,
  ): Promise<ColourReference> {
    return new ColourReference(await compileGraph(correlationGraph(channels, height, width), options), height, width);
  }

  /**
   * For each pair of masks a picture `[1,3,h,w]` with the colours of `target`'s picture, zero outside of the source mask. At most
   * fifteen pairs.
   */
  run(source: Features, target: Features, picture: Image, pairs: readonly MaskPair[]): Image[] {
    const { height, width } = this;
    const pixels = height * width;
    const sourceMasks = new Float32Array(SLOTS * pixels);
    const targetMasks = new Float32Array(SLOTS * pixels);
    for (const [i, pair] of pairs.entries()) {
      sourceMasks.set(resizeMask(pair.source, width, height).data, i * pixels);
      targetMasks.set(resizeMask(pair.target, width, height).data, i * pixels);
    }
    const values = resized(picture, height, width, { alignCorners: true });
    const { colours } = this.net.run({ source, target, sourceMasks, targetMasks, values });
    return pairs.map((_, i) => planes(colours.data.subarray(i * pixels * 3, (i + 1) * pixels * 3), height, width));
  }

  close(): void {
    this.net.close();
  }
}

/** The graph of {@link ColourReference}: features and values of both pictures in, `colours: [15,h*w,3]` out. */
export function correlationGraph(channels: number, height: number, width: number): Graph {
  const inputs = {
    source: input('source', [1, channels, height, width]),
    target: input('target', [1, channels, height, width]),
    sourceMasks: input('sourceMasks', [SLOTS, height * width]),
    targetMasks: input('targetMasks', [SLOTS, height * width]),
    values: input('values', [1, 3, height, width]),
  };
  return { inputs, outputs: { colours: correlation(inputs, TEMPERATURE) } };
}

/** `[h*w,3]` as a picture. */
function planes(rows: Float32Array, height: number, width: number): Image {
  const pixels = height * width;
  const data = new Float32Array(3 * pixels);
  for (let i = 0; i < pixels; i++) for (let c = 0; c < 3; c++) data[c * pixels + i] = rows[i * 3 + c];
  return float32([1, 3, height, width], data);
}

/**
 * The colours of a head, part over part: those that a part got by correlation replace what is there, copied ones are added to it. The two
 * differ only where parts overlap, as eyes widened under glasses do.
 *
 * @param references What correlation gave each part; parts that are copied have none.
 * @param picture The source's picture at the same size, for the copied parts.
 */
export function headColours(
  plans: readonly PartPlan[],
  references: ReadonlyMap<PartPlan, Image>,
  picture: Image,
): Image {
  const [, , height, width] = picture.shape;
  const pixels = height * width;
  const data = new Float32Array(3 * pixels);
  for (const plan of plans) {
    const inside: Mask = resizeMask(plan.source, width, height);
    const reference = references.get(plan);
    for (let i = 0; i < data.length; i++) {
      if (!inside.data[i % pixels]) continue;
      if (reference) data[i] = reference.data[i];
      else data[i] += picture.data[i];
    }
  }
  return float32([1, 3, height, width], data);
}

/** The sum of two pictures. */
export function sum(a: Image, b: Image): Image {
  return { ...a, data: a.data.map((v, i) => v + b.data[i]) };
}
