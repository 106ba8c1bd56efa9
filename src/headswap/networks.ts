import { input } from '../graph/leaves.js';
import type { Graph } from '../graph/value.js';
import { CompiledBlender } from '../models/ghost2/blender.js';
import type { Embedder } from '../models/ghost2/embedder.js';
import type { Generator } from '../models/ghost2/generator.js';
import { type Closable, closeAll } from '../runtime/closable.js';
import { type ReadyNet, type RunOptions, readyGraph } from './backends.js';
import { ARCFACE_SIZE, WIDE_SIZE } from './geometry-crops.js';
import { collectGarbage } from './memory.js';
import type { SwapWeights } from './weights.js';

/** Length of the three embeddings together: the portrait's, the identity's and the pose's. */
const EMBEDDING = 512 + 512 + 256;

/** All three encoders. */
export function embedderGraph(embedder: Embedder): Graph {
  embedder.nameParameters();
  const wide = [1, 3, WIDE_SIZE, WIDE_SIZE];
  const inputs = {
    sourceWide: input('sourceWide', wide),
    sourceArc: input('sourceArc', [1, 3, ARCFACE_SIZE, ARCFACE_SIZE]),
    targetWide: input('targetWide', wide),
  };
  return { inputs, outputs: { ...embedder.forward(inputs) } };
}

/** The generator, from the three embeddings after one another. */
export function generatorGraph(generator: Generator): Graph {
  generator.nameParameters();
  const embedding = input('embedding', [1, EMBEDDING]);
  return { inputs: { embedding }, outputs: { ...generator.forward(embedding) } };
}

/** What was made, without what it was made of: weights before they were packed, pictures between stages. */
async function collected<T>(made: Promise<T>): Promise<T> {
  const result = await made;
  await collectGarbage();
  return result;
}

/**
 * GHOST 2.0's own networks, ready to run. By default each is made when it is needed and let go after, which takes the least memory;
 * with `keep` they stay for the next swap.
 */
export class SwapNetworks {
  private readonly kept = new Map<string, Promise<Closable>>();

  constructor(
    readonly weights: SwapWeights,
    private readonly options: RunOptions & { readonly keep?: boolean } = {},
  ) {}

  /** Inputs `sourceWide`, `sourceArc` and `targetWide`; outputs `por_embed`, `id_embed` and `pose_embed`. */
  embedder<T>(use: (net: ReadyNet) => Promise<T>): Promise<T> {
    return this.with('embedder', use, async () =>
      readyGraph('aligner-embedder', embedderGraph(await this.weights.embedder()), this.options),
    );
  }

  /** Input `embedding`, all three after one another; outputs `fake_rgbs` and `fake_segm`. */
  generator<T>(use: (net: ReadyNet) => Promise<T>): Promise<T> {
    return this.with('generator', use, async () =>
      readyGraph('aligner-generator', generatorGraph(await this.weights.generator()), this.options),
    );
  }

  blender<T>(use: (blender: CompiledBlender) => Promise<T>): Promise<T> {
    return this.with('blender', use, async () =>
      CompiledBlender.create(await this.weights.blender(), {
        threads: this.options.threads,
        ready: (name, graph) => readyGraph(`blender-${name}`, graph, this.options),
      }),
    );
  }

  /** Lets go what was kept. */
  async close(): Promise<void> {
    const kept = [...this.kept.values()];
    this.kept.clear();
    // What could not be made was told to who asked for it. One that cannot be closed must not keep the others open.
    const made = (await Promise.allSettled(kept)).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    await closeAll(made);
  }

  private async with<N extends Closable, T>(
    name: string,
    use: (net: N) => Promise<T>,
    make: () => Promise<N>,
  ): Promise<T> {
    if (this.options.keep) return collected(use(await this.keep(name, make)));
    const net = await collected(make());
    try {
      return await use(net);
    } finally {
      await net.close();
      await collectGarbage();
    }
  }

  /** The one that is kept, made at first; a failure is not kept, so that the next swap tries again. */
  private keep<N extends Closable>(name: string, make: () => Promise<N>): Promise<N> {
    const kept = this.kept.get(name) as Promise<N> | undefined;
    if (kept) return kept;
    const net = collected(make());
    this.kept.set(name, net);
    net.catch(() => {
      if (this.kept.get(name) === net) this.kept.delete(name);
    });
    return net;
  }
}
