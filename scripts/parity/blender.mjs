import { BLUR_RANGE, pseudoBackground } from '../../dist/headswap/pseudo-background.js';
import { Blender, CompiledBlender } from '../../dist/models/ghost2/blender.js';
import { maskImage } from '../../dist/models/ghost2/images.js';
import { assignNamedWeights } from '../../dist/models/named-weights.js';
import { goldenInputs } from './inputs.mjs';
import { Share } from './share.mjs';

/**
 * The softmax over correlations is so steep that its colours are no more exact than 1e-6, the original's as ours, and with weights from names
 * the decoder's norms widen that three-hundredfold: so for its picture a share of the values is allowed for.
 */
const BLENDER_BOUNDS = { bound: 2e-3, share: 0.995, meanBound: 2e-4 };
const PSEUDO_BOUNDS = { bound: 2e-3, share: 0.99 };

/** @param {any} golden */
export function isBlender(golden) {
  return golden.inputs?.sourceParsing !== undefined && golden.inputs.targetParsing !== undefined;
}

/** The blender: inference, and where the file has them, the paths of training, and the features of the source. */
export async function blender(golden, file) {
  const { source, target, sourceParsing, targetParsing } = await goldenInputs(golden.inputs, file);
  const model = assignNamedWeights(new Blender(), 'blender.');
  const [, , height, width] = source.shape;
  const net = await CompiledBlender.create(model, { size: [height, width], threads: 2 });
  const inputs = { source, target, sourceParsing: labels(sourceParsing), targetParsing: labels(targetParsing) };
  const share = new Share(BLENDER_BOUNDS);
  const has = (prefix) => Object.keys(golden.outputs).some((name) => name.startsWith(prefix));
  try {
    const results = inferenceOutputs(await net.blend(inputs));
    if (has('train.')) Object.assign(results, trainingOutputs(await net.trainingForward(inputs)));
    if (has('cycle.')) Object.assign(results, cycleOutputs(await net.cycle(inputs)));
    if (has('fpn')) results.fpn = await net.features(source);
    for (const [name, expected] of Object.entries(golden.outputs)) {
      share.compare(name, expected, results[name], { exact: /(^|\.)M_/.test(name) });
    }
  } finally {
    await net.close();
  }
  share.need('parameters', golden.parameters?.blender, model.parameterCount());
  return share.verdict();
}

/** The outputs under the original's names. */
const inferenceOutputs = ({ picture, headColours, fillColours, masks, background, headGray }) => ({
  oup: picture,
  gen_h: headColours,
  gen_i: fillColours,
  M_Ah: maskImage(masks.head),
  I_tb: background,
  M_Ai: maskImage(masks.fill),
  I_ag: headGray,
});

const trainingOutputs = ({ picture, masks, reference, referenceGray }) => ({
  'train.oup': picture,
  'train.M_Ah': maskImage(masks.head),
  'train.M_Ai': maskImage(masks.fill),
  'train.gen_total': reference,
  'train.I_gd': referenceGray,
});

const cycleOutputs = ({ generated, label }) => ({ 'cycle.cycle_gen': generated, 'cycle.I_td': label });

/** @param {any} golden */
export function isPseudoBackground(golden) {
  return golden.outputs?.pseudo !== undefined && golden.inputs?.parsing !== undefined;
}

/**
 * The pseudo target background. The original blurs with a deviation that it draws anew each time; a file that does not name its own
 * (`sigma`) is compared at the one that fits best, of the range that it is drawn from.
 */
export async function pseudo(golden, file) {
  const { target, parsing } = await goldenInputs(golden.inputs, file);
  const map = labels(parsing);
  const at = (sigma) => {
    const share = new Share(PSEUDO_BOUNDS);
    share.compare('pseudo', golden.outputs.pseudo, pseudoBackground(target, map, { sigma }));
    return share;
  };
  const sigma = golden.sigma ?? bestSigma((s) => at(s).outputs.pseudo.meanError);
  return { ...at(sigma).verdict(), sigma };
}

/** The least of a function with one minimum between the bounds of the blur, by the golden section. */
function bestSigma(errorAt) {
  let [low, high] = BLUR_RANGE;
  const ratio = (Math.sqrt(5) - 1) / 2;
  for (let i = 0; i < 20; i++) {
    const a = high - ratio * (high - low);
    const b = low + ratio * (high - low);
    if (errorAt(a) < errorAt(b)) high = b;
    else low = a;
  }
  return (low + high) / 2;
}

/** A parsing `[H,W]`, or with dimensions of 1 before those, as a label map. */
function labels({ shape, data }) {
  const [height, width] = shape.slice(-2);
  if (data.length !== height * width) throw new Error(`a parsing of shape [${shape}] is not one label map`);
  return { width, height, data: Uint8Array.from(data, Number) };
}
