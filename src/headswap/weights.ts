import type { WeightsEntry } from '../hub/manifest.js';
import { Blender } from '../models/ghost2/blender.js';
import { Embedder } from '../models/ghost2/embedder.js';
import { Generator } from '../models/ghost2/generator.js';
import { assignNamedWeights } from '../models/named-weights.js';
import { settleSpectralNorm } from '../nn/spectral-norm.js';

/** Where the weights of GHOST 2.0's networks come from. Each network is made when its turn has come, and let go after it. */
export interface SwapWeights {
  /** For people: `from their names`, or the folder. */
  readonly name: string;
  /** Whether they were trained. Others draw noise, and nothing can be concluded from what they draw. */
  readonly trained: boolean;
  /** The path of another file of the manifest beside them, if it is there: a swap's plug-ins are looked for with it. */
  find?(entry: WeightsEntry): string | undefined;
  /** @throws GhostkitError that names the file and what is wrong with it. */
  embedder(): Promise<Embedder>;
  generator(): Promise<Generator>;
  blender(): Promise<Blender>;
}

/** Steps of the power method for weights from names. Their singular values need not be exact: the head is noise anyway. */
const SPECTRAL_STEPS = 4;

/** Weights that follow from their names, for trying and measuring without a download: the head that they draw is noise. */
export const NAMED_WEIGHTS: SwapWeights = {
  name: 'from their names',
  trained: false,
  embedder: async () => assignNamedWeights(new Embedder(), 'embedder.'),
  generator: async () => {
    const generator = assignNamedWeights(new Generator(), 'gen.');
    settleSpectralNorm(generator, SPECTRAL_STEPS);
    return generator;
  },
  blender: async () => assignNamedWeights(new Blender(), 'blender.'),
};
