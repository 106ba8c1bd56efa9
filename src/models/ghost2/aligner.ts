import { input } from '../../graph/leaves.js';
import type { Graph } from '../../graph/value.js';
import { Network } from '../../nn/module.js';
import * as ops from '../../ops/index.js';
import { GhostkitError } from '../../tensor/error.js';
import { formatShape, type Shape, type Tensor } from '../../tensor/tensor.js';
import type { Discriminator } from './discriminator.js';
import { Embedder, type EmbedderOptions } from './embedder.js';
import { Generator, type GeneratorOptions } from './generator.js';
import { loadPart } from './load.js';

export interface AlignerOptions {
  embedder?: EmbedderOptions;
  generator?: Omit<GeneratorOptions, 'embedding'>;
}

/**
 * GHOST 2.0's aligner: reenacts the source's head in the target's pose and expression. Groshev et al., "GHOST 2.0: generative
 * high-fidelity one shot transfer of heads" (arXiv:2502.18417), section 3.1.
 */
export class Aligner extends Network {
  readonly embedder: Embedder;
  readonly gen: Generator;

  constructor({ embedder = {}, generator = {} }: AlignerOptions = {}) {
    super();
    const { portrait = 512, identity = 512, pose = 256 } = embedder;
    this.embedder = new Embedder(embedder);
    this.gen = new Generator({ ...generator, embedding: portrait + identity + pose });
  }

  /** Takes over the weights of an official `aligner_*.ckpt`; throws one line that names what does not fit. */
  load(state: ReadonlyMap<string, Tensor>): void {
    loadPart(this.embedder, state, 'embedder.');
    loadPart(this.gen, state, 'gen.');
  }
}

/** The aligner's inputs and their shapes: BGR pictures in [-1, 1]. Several views of one source stand one after another. */
export interface AlignerShapes {
  readonly 'source.face_wide': Shape;
  readonly 'source.face_arc': Shape;
  readonly 'target.face_wide': Shape;
}

/** One view of one source, one target. */
export const ALIGNER_SHAPES: AlignerShapes = {
  'source.face_wide': [1, 3, 512, 512],
  'source.face_arc': [1, 3, 112, 112],
  'target.face_wide': [1, 3, 512, 512],
};

/**
 * The graph of the whole aligner: inputs as in {@link AlignerShapes}; outputs `por_embed`, `id_embed`, `pose_embed`, `fake_rgbs` and
 * `fake_segm`.
 */
export function alignerGraph(aligner: Aligner, shapes: AlignerShapes = ALIGNER_SHAPES): Graph {
  aligner.nameParameters();
  const batch = shapes['target.face_wide'][0];
  const picture = (name: keyof AlignerShapes) => {
    const shape = shapes[name];
    if (shape.length !== 4 || shape[1] !== 3 || shape[0] % batch !== 0) {
      throw new GhostkitError(`${name}: needs [${batch} or a multiple, 3, height, width], got ${formatShape(shape)}`);
    }
    return input(name, shape);
  };
  const inputs = {
    'source.face_wide': picture('source.face_wide'),
    'source.face_arc': picture('source.face_arc'),
    'target.face_wide': picture('target.face_wide'),
  };
  const embeddings = aligner.embedder.forward({
    sourceWide: inputs['source.face_wide'],
    sourceArc: inputs['source.face_arc'],
    targetWide: inputs['target.face_wide'],
  });
  const { por_embed, id_embed, pose_embed } = embeddings;
  const head = aligner.gen.forward(ops.concat([por_embed, id_embed, pose_embed]));
  return { inputs, outputs: { ...embeddings, ...head } };
}

/** The graph of the discriminator: input `x`; outputs `score` and `features.0` to the last. */
export function discriminatorGraph(discriminator: Discriminator, shape: Shape): Graph {
  discriminator.nameParameters();
  const x = input('x', shape);
  const { score, features } = discriminator.forward(x);
  const named = features.map((value, i) => [`features.${i}`, value] as const);
  return { inputs: { x }, outputs: { score, ...Object.fromEntries(named) } };
}
