import { closest, distance } from 'fastest-levenshtein';
import { GhostkitError } from '../tensor/error.js';

/** What a network wants its picture to be like. */
export interface PictureInput {
  /** Height and width; absent where any multiple of 32 will do. */
  readonly size?: number;
  /** Per channel in the order R, G, B, of pixels in 0 to 1. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

export type WeightsKind = 'classifier' | 'labels' | 'head-swap' | 'detector' | 'parser' | 'matting' | 'inpainting';

/** One published file: what it is, where it is, and what may be done with it. */
export interface WeightsEntry {
  readonly name: string;
  readonly kind: WeightsKind;
  readonly summary: string;
  /** The name of the file, in the cache and in a folder of weights. */
  readonly file: string;
  /** Absent for what nobody publishes in a form that can be run; `remark` then says how to make it. */
  readonly url?: string;
  readonly licence: string;
  /** The page that tells more. */
  readonly source: string;
  /** The exact size, where it is known; a file of another size is refused. */
  readonly bytes?: number;
  /** Where it is known. Of other files the checksum of the first download is kept. */
  readonly sha256?: string;
  /** Other entries that are pulled with this one. */
  readonly needs?: readonly string[];
  /** How a picture is prepared, for the networks that are run as ONNX files. */
  readonly input?: PictureInput;
  readonly remark?: string;
}

const TIMM = 'https://github.com/huggingface/pytorch-image-models';
/** The labels are pinned to a commit: their order is the meaning of a classifier's outputs. */
const TIMM_FILES =
  'https://raw.githubusercontent.com/huggingface/pytorch-image-models/aa4b5850c1543fa488abf260f18390eda46cf85d';
const GHOST2 = 'https://github.com/ai-forever/ghost-2.0';
const GHOST2_RELEASE = `${GHOST2}/releases/download/aligner`;
const IMAGENET: Pick<PictureInput, 'mean' | 'std'> = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** timm's weights of a network of ours, under our name for it; `tag` tells the training. */
function timm(name: string, tag = 'in1k'): WeightsEntry {
  const page = `https://huggingface.co/timm/${name}.${tag}`;
  return {
    name,
    kind: 'classifier',
    summary: `${name}, trained on ImageNet-1k (timm ${tag})`,
    file: `${name}.safetensors`,
    url: `${page}/resolve/main/model.safetensors`,
    licence: 'Apache-2.0',
    source: page,
    needs: ['imagenet-synsets', 'imagenet-names'],
  };
}

const CLASSIFIERS: readonly WeightsEntry[] = [
  timm('ghostnet_100'),
  ...['050', '058', '080', '100', '111', '130', '150', '200'].map((width) => timm(`repghostnet_${width}`)),
  timm('mobilenetv3_large_100', 'ra_in1k'),
  timm('mobilenetv3_small_100', 'lamb_in1k'),
];

const LABELS: readonly WeightsEntry[] = [
  {
    name: 'imagenet-synsets',
    kind: 'labels',
    summary: "ImageNet-1k's 1,000 classes in order, as WordNet numbers",
    file: 'imagenet_synsets.txt',
    url: `${TIMM_FILES}/timm/data/_info/imagenet_synsets.txt`,
    licence: 'Apache-2.0',
    source: TIMM,
    bytes: 10000,
    sha256: '70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15',
  },
  {
    name: 'imagenet-names',
    kind: 'labels',
    summary: 'the English words for WordNet numbers',
    file: 'imagenet_synset_to_lemma.txt',
    url: `${TIMM_FILES}/timm/data/_info/imagenet_synset_to_lemma.txt`,
    licence: 'Apache-2.0',
    source: TIMM,
    bytes: 741457,
    sha256: '1b8babda187421a4bde0c9c5a197c36f6bdda962f7ca11ffb2813806cbb2178f',
  },
];

const HEAD_SWAP: readonly WeightsEntry[] = [
  {
    name: 'ghost2-aligner',
    kind: 'head-swap',
    summary: 'GHOST 2.0 aligner: embedders (ArcFace among them) and generator',
    file: 'aligner_1020_gaze_final.ckpt',
    url: `${GHOST2_RELEASE}/aligner_1020_gaze_final.ckpt`,
    licence: 'Apache-2.0',
    source: GHOST2,
  },
  {
    name: 'ghost2-blender',
    kind: 'head-swap',
    summary: 'GHOST 2.0 blender: features, references and decoder',
    file: 'blender_lama.ckpt',
    url: `${GHOST2_RELEASE}/blender_lama.ckpt`,
    licence: 'Apache-2.0',
    source: GHOST2,
  },
  {
    name: 'ghost2-arcface',
    kind: 'head-swap',
    summary: 'ArcFace IResNet-50 alone, for an aligner file that lacks it',
    file: 'backbone50_1.pth',
    url: `${GHOST2_RELEASE}/backbone50_1.pth`,
    licence: 'Apache-2.0',
    source: GHOST2,
  },
  {
    name: 'segformer-b5',
    kind: 'parser',
    summary: 'SegFormer-B5 head parsing, 20 classes',
    file: 'segformer_B5_ce.onnx',
    url: `${GHOST2_RELEASE}/segformer_B5_ce.onnx`,
    licence: 'Apache-2.0',
    source: GHOST2,
    input: {
      size: 512,
      mean: [0.51315393, 0.48064056, 0.46301059],
      std: [0.21438347, 0.20799829, 0.20304542],
    },
  },
  {
    name: 'stylematte',
    kind: 'matting',
    summary: "StyleMatte portrait matting, GHOST 2.0's own choice",
    file: 'stylematte.onnx',
    licence: 'CC-BY-SA-4.0',
    source: 'https://github.com/chroneus/stylematte',
    input: { size: 512, ...IMAGENET },
    remark:
      'published for PyTorch only; export stylematte_synth.pth to ONNX (512 x 512 in, alpha out) and put it there',
  },
  {
    name: 'modnet',
    kind: 'matting',
    summary: 'MODNet portrait matting',
    file: 'modnet.onnx',
    url: 'https://huggingface.co/Xenova/modnet/resolve/main/onnx/model.onnx',
    licence: 'Apache-2.0',
    source: 'https://github.com/ZHKKKe/MODNet',
    bytes: 25888640,
    sha256: '07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9',
    input: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  },
  {
    name: 'scrfd-10g',
    kind: 'detector',
    summary: 'SCRFD-10G face detection with five points (InsightFace buffalo_l)',
    file: 'det_10g.onnx',
    url: 'https://huggingface.co/deepghs/insightface/resolve/main/buffalo_l/det_10g.onnx',
    licence: 'non-commercial research only',
    source: 'https://github.com/deepinsight/insightface',
    bytes: 16923827,
    sha256: '5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91',
    input: { size: 640, mean: [0.5, 0.5, 0.5], std: [128 / 255, 128 / 255, 128 / 255] },
  },
  {
    name: 'lama',
    kind: 'inpainting',
    summary: 'LaMa inpainting at 512 x 512 (big-lama)',
    file: 'lama_fp32.onnx',
    url: 'https://huggingface.co/Carve/LaMa-ONNX/resolve/c3c0c9e468934d62e79c329e35d82dd09ff8c444/lama_fp32.onnx',
    licence: 'Apache-2.0',
    source: 'https://github.com/advimman/lama',
    bytes: 208044816,
    sha256: '1faef5301d78db7dda502fe59966957ec4b79dd64e16f03ed96913c7a4eb68d6',
    input: { size: 512, mean: [0, 0, 0], std: [1, 1, 1] },
  },
];

/** Every file that ghostkit knows of. */
export const WEIGHTS: readonly WeightsEntry[] = [...CLASSIFIERS, ...LABELS, ...HEAD_SWAP];

/** Names that stand for several entries. */
export const GROUPS: Readonly<Record<string, readonly string[]>> = {
  swap: ['ghost2-aligner', 'ghost2-blender', 'segformer-b5', 'modnet', 'lama'],
  'imagenet-labels': ['imagenet-synsets', 'imagenet-names'],
};

/** The entry of a name. Throws a {@link GhostkitError} that names the nearest one. */
export function findWeights(name: string): WeightsEntry {
  const entry = WEIGHTS.find((each) => each.name === name);
  if (entry) return entry;
  const nearest = closest(name, [...WEIGHTS.map((each) => each.name), ...Object.keys(GROUPS)]);
  const hint =
    distance(name, nearest) <= nearest.length / 2 ? `did you mean ${nearest}?` : 'ghostkit weights list shows them';
  throw new GhostkitError(`unknown weights ${name}; ${hint}`);
}

/** The entries that names and groups stand for with what they need, each once, in order. */
export function expandWeights(names: readonly string[]): WeightsEntry[] {
  const found = new Map<string, WeightsEntry>();
  const add = (name: string) => {
    if (found.has(name)) return;
    if (Object.hasOwn(GROUPS, name)) {
      GROUPS[name].forEach(add);
      return;
    }
    const entry = findWeights(name);
    found.set(name, entry);
    entry.needs?.forEach(add);
  };
  names.forEach(add);
  return [...found.values()];
}
