import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../src/graph/evaluate.js';
import { deploy } from '../../../src/graph/passes/deploy.js';
import type { Graph } from '../../../src/graph/value.js';
import {
  Aligner,
  type AlignerOptions,
  type AlignerShapes,
  alignerGraph,
  discriminatorGraph,
} from '../../../src/models/ghost2/aligner.js';
import { Discriminator } from '../../../src/models/ghost2/discriminator.js';
import { Generator } from '../../../src/models/ghost2/generator.js';
import { assignNamedWeights, namedInput } from '../../../src/models/named-weights.js';
import { settleSpectralNorm } from '../../../src/nn/spectral-norm.js';
import type { Shape } from '../../../src/tensor/tensor.js';
import { expectSame } from '../../formats/onnx/run.js';
import { executorError } from '../../runtime/support.js';

/** A head of 16x16 pixels. */
const TINY: AlignerOptions = {
  embedder: {
    portrait: 6,
    identity: 5,
    pose: 4,
    porEncoder: { blocks: [1, 1, 1, 1], groups: 2, groupWidth: 2, base: 4 },
    idEncoder: { blocks: [1, 2, 1, 1], channels: [4, 6, 8, 8], size: 16 },
    poseEncoder: { width: 0.1 },
  },
  generator: { channels: 4, maxChannels: 12, constantSize: 4, residualBlocks: 1, imageSize: 16 },
};

function tinyAligner(): Aligner {
  const aligner = assignNamedWeights(new Aligner(TINY));
  settleSpectralNorm(aligner);
  return aligner;
}

const shapes = (batch: number, views: number): AlignerShapes => ({
  'source.face_wide': [batch * views, 3, 32, 32],
  'source.face_arc': [batch * views, 3, 16, 16],
  'target.face_wide': [batch, 3, 32, 32],
});

const run = (graph: Graph, inputs: Record<string, Float64Array>) => evaluate(graph, inputs);
const values = (name: string, shape: Shape) => Float64Array.from(namedInput(name, shape).data);

describe('the aligner', () => {
  it('has the parameters and state names of the original', () => {
    const { embedder, gen } = new Aligner();
    expect(embedder.por_encoder.parameterCount()).toBe(24_028_992);
    expect(embedder.id_encoder.parameterCount()).toBe(43_590_848);
    expect(embedder.pose_encoder.parameterCount()).toBe(2_551_808);
    expect(gen.parameterCount()).toBe(53_019_460);
    const keys = new Aligner().stateShapes();
    const some: Record<string, Shape> = {
      'embedder.por_encoder.conv1.weight': [64, 3, 7, 7],
      'embedder.por_encoder.layer1.0.conv2.weight': [128, 4, 3, 3],
      'embedder.por_encoder.layer4.2.bn3.running_var': [2048],
      'embedder.por_encoder.layer2.0.downsample.0.weight': [512, 256, 1, 1],
      'embedder.por_encoder.fc.bias': [512],
      'embedder.id_encoder.layer3.13.prelu.weight': [256],
      'embedder.id_encoder.layer1.0.downsample.1.running_mean': [64],
      'embedder.id_encoder.fc.weight': [512, 25088],
      'embedder.id_encoder.features.running_mean': [512],
      'embedder.pose_encoder.features.1.conv.1.weight': [16, 32, 1, 1],
      'embedder.pose_encoder.features.17.conv.1.0.weight': [960, 1, 3, 3],
      'embedder.pose_encoder.features.18.0.weight': [1280, 320, 1, 1],
      'embedder.pose_encoder.classifier.1.weight': [256, 1280],
      'gen.constant.constant': [1, 512, 4, 4],
      'gen.decoder_blocks.1.block.7.weight_orig': [512, 512, 3, 3],
      'gen.decoder_blocks.8.block.4.weight_v': [1152],
      'gen.decoder_blocks.8.skip.1.bias': [64],
      'gen.rgb_head.2.weight_orig': [3, 64, 3, 3],
      'gen.mask_head.2.weight_u': [1],
      'gen.affine_params_projector.2.weight_orig': [15232, 1280],
    };
    for (const [key, shape] of Object.entries(some)) expect(keys.get(key), key).toEqual(shape);
    expect(keys.has('gen.decoder_blocks.0.block.3.bias')).toBe(false);
    expect(keys.has('gen.decoder_blocks.0.skip.0.bias')).toBe(false);
  });

  it('runs as it is defined, in training and in deploy form', async () => {
    const graph = alignerGraph(tinyAligner(), shapes(2, 1));
    expect(Object.fromEntries(Object.entries(graph.outputs).map(([name, { shape }]) => [name, shape]))).toEqual({
      por_embed: [2, 6],
      id_embed: [2, 5],
      pose_embed: [2, 4],
      fake_rgbs: [2, 3, 16, 16],
      fake_segm: [2, 1, 16, 16],
    });
    expect(await executorError(graph)).toBeLessThan(2e-5);
    expect(await executorError(graph, { deploy: true, threads: 2 })).toBeLessThan(2e-5);
    const inputs = Object.fromEntries(Object.entries(graph.inputs).map(([name, v]) => [name, values(name, v.shape)]));
    const [trained, deployed] = [run(graph, inputs), run(deploy(graph), inputs)];
    for (const [name, { data }] of Object.entries(trained)) {
      data.forEach((v, i) => void expect(deployed[name].data[i]).toBeCloseTo(v, 4));
    }
  });

  it('takes the mean of the embeddings of several views', () => {
    const aligner = tinyAligner();
    const targets = { 'target.face_wide': values('target', [1, 3, 32, 32]) };
    const views = {
      'source.face_wide': values('wide', [3, 3, 32, 32]),
      'source.face_arc': values('arc', [3, 3, 16, 16]),
    };
    const together = run(alignerGraph(aligner, shapes(1, 3)), { ...targets, ...views });
    const apart = [0, 1, 2].map((i) => {
      const view = Object.entries(views).map(([name, data]) => [
        name,
        data.slice((i * data.length) / 3, ((i + 1) * data.length) / 3),
      ]);
      return run(alignerGraph(aligner, shapes(1, 1)), { ...targets, ...Object.fromEntries(view) });
    });
    for (const name of ['por_embed', 'id_embed']) {
      together[name].data.forEach((v, i) => {
        expect(v).toBeCloseTo((apart[0][name].data[i] + apart[1][name].data[i] + apart[2][name].data[i]) / 3, 7);
      });
    }
  });

  it('is the same in onnxruntime', () => expectSame(deploy(alignerGraph(tinyAligner(), shapes(1, 2))), { scale: 1 }));

  it('says which input does not fit', () => {
    const wrong = { ...shapes(2, 1), 'source.face_arc': [3, 3, 16, 16] };
    expect(() => alignerGraph(tinyAligner(), wrong)).toThrow(
      'source.face_arc: needs [2 or a multiple, 3, height, width], got [3,3,16,16]',
    );
    expect(() => new Generator({ imageSize: 100 })).toThrow('100 is not 4 times a power of 2');
  });

  it('loads its part of a training module', () => {
    const from = tinyAligner();
    const to = new Aligner(TINY);
    const one = { dtype: 'float32' as const, shape: [1], data: new Float32Array(1) };
    const state = new Map([...from.state(), ['aligner_loss.vgg.weight', one], ['disc.linear.bias', one]]);
    to.load(state);
    expect([...to.state()].every(([key, { data }]) => data === from.state().get(key)?.data)).toBe(true);
    state.set('gen.rgb_head.2.bias', one);
    expect(() => to.load(state)).toThrow('gen.rgb_head.2.bias: the file has [1], the model needs [3]');
    expect(() => to.load(new Map([['blender.weight', one]]))).toThrow('the file has no weights of embedder.*');
  });
});

describe('the discriminator', () => {
  const options = { channels: 4, maxChannels: 12, features: 10, blocks: 4, imageSize: 32 };

  it('has the parameters and state names of the original', () => {
    const keys = new Discriminator().stateShapes();
    expect(new Discriminator().parameterCount()).toBe(14_823_617);
    expect(keys.get('down_block.0.weight_orig')).toEqual([64, 3, 3, 3]);
    expect(keys.get('skip.0.weight_v')).toEqual([3]);
    expect(keys.get('blocks.4.block.5.weight_v')).toEqual([4608]);
    expect(keys.get('blocks.4.skip.0.bias')).toEqual([512]);
    expect(keys.has('blocks.5.block.2.bias')).toBe(false);
    expect(new Discriminator({ identity: true }).stateShapes().get('embed.weight_orig')).toEqual([1, 512]);
  });

  it('runs as it is defined', async () => {
    const model = assignNamedWeights(new Discriminator(options));
    settleSpectralNorm(model);
    const graph = discriminatorGraph(model, [2, 3, 32, 32]);
    expect(graph.outputs.score.shape).toEqual([2]);
    // 32 is halved to 16, 8 and 4; the fourth stage leaves the size.
    expect(graph.outputs['features.2'].shape).toEqual([2, 12, 4, 4]);
    expect(graph.outputs['features.3'].shape).toEqual([2, 10, 4, 4]);
    expect(await executorError(graph, { threads: 2 })).toBeLessThan(2e-5);
    const { 'features.1': rectified, 'features.3': last } = run(graph, { x: values('x', [2, 3, 32, 32]) });
    expect(Math.min(...rectified.data)).toBe(0);
    expect(Math.min(...last.data)).toBeLessThan(0);
  });

  it('adds the projection onto the identity to the score', () => {
    const model = assignNamedWeights(new Discriminator({ ...options, identity: true }));
    settleSpectralNorm(model);
    const x = { x: values('x', [1, 3, 32, 32]) };
    const score = () => run(discriminatorGraph(model, [1, 3, 32, 32]), x).score.data[0];
    const known = score();
    // The other way round: sigma changes its sign.
    const { weight_u } = model.embed as NonNullable<typeof model.embed>;
    weight_u.data = weight_u.data.map((v) => -v);
    const opposite = score();
    // The linear layer's own score is in the middle.
    const plain = new Discriminator(options);
    plain.assign(model.state());
    const middle = run(discriminatorGraph(plain, [1, 3, 32, 32]), x).score.data[0];
    expect((known + opposite) / 2).toBeCloseTo(middle, 5);
    expect(Math.abs(known - opposite)).toBeGreaterThan(1e-3);
  });
});
