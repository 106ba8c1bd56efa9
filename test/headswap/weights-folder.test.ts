import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeSafetensors } from '../../src/formats/safetensors.js';
import { SwapNetworks } from '../../src/headswap/networks.js';
import { swapHead } from '../../src/headswap/pipeline.js';
import { findInFolder, folderWeights } from '../../src/headswap/weights-folder.js';
import { findWeights } from '../../src/hub/manifest.js';
import { Blender } from '../../src/models/ghost2/blender.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { type FloatTensor, float32, type Shape, sizeOf } from '../../src/tensor/tensor.js';
import { plain } from '../support/pictures.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-swap-weights-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A file with tensors of these shapes, all zeros. */
function zeros(shapes: ReadonlyMap<string, Shape>, prefix = ''): Uint8Array {
  const state = new Map<string, FloatTensor>();
  for (const [key, shape] of shapes) state.set(prefix + key, float32(shape, new Float32Array(sizeOf(shape))));
  return writeSafetensors(state);
}

describe('a folder of official weights', () => {
  it('is checked for its files at once, with the command that gets them', async () => {
    vi.stubEnv('GHOSTKIT_CACHE', at('cache'));
    await mkdir(at('empty'));
    expect(() => folderWeights(at('empty'))).toThrow(
      `${at('empty', 'aligner_1020_gaze_final.ckpt')}: there is no such file; ghostkit weights pull ghost2-aligner gets it into the cache, where it is found without --weights`,
    );
    expect(() => folderWeights(at('cache', 'weights'))).toThrow(/no such file; ghostkit weights pull ghost2-aligner$/);
    await writeFile(at('empty', 'aligner_1020_gaze_final.ckpt'), '');
    await writeFile(at('empty', 'blender_lama.ckpt.part'), 'half');
    expect(() => folderWeights(at('empty'))).toThrow(
      `${at('empty', 'blender_lama.ckpt')}: its download is not finished; ghostkit weights pull ghost2-blender goes on with it`,
    );
    vi.unstubAllEnvs();
  });

  it("is found flat and in the original's own layout", async () => {
    await mkdir(at('original', 'aligner_checkpoints'), { recursive: true });
    await mkdir(at('original', 'weights'));
    await writeFile(at('original', 'aligner_checkpoints', 'aligner_500.ckpt'), '');
    await writeFile(at('original', 'weights', 'segformer_B5_ce.onnx'), '');
    const find = (name: string) => findInFolder(at('original'), findWeights(name));
    expect(find('ghost2-aligner')).toBe(at('original', 'aligner_checkpoints', 'aligner_500.ckpt'));
    expect(find('segformer-b5')).toBe(at('original', 'weights', 'segformer_B5_ce.onnx'));
    expect(find('lama')).toBeUndefined();
  });

  it('brings the plug-ins that are in it, also with networks that are kept', async () => {
    await mkdir(at('whole', 'weights'), { recursive: true });
    for (const name of ['aligner_1.ckpt', 'blender_1.ckpt']) await writeFile(at('whole', name), '');
    await writeFile(at('whole', 'weights', 'det_10g.onnx'), 'no network');
    const picture = plain(64, 64, [9, 9, 9]);
    const weights = folderWeights(at('whole'));
    for (const each of [at('whole'), weights, new SwapNetworks(weights, { keep: true })]) {
      await expect(swapHead({ source: picture, target: picture, weights: each })).rejects.toThrow(
        /^scrfd-10g cannot be opened in onnxruntime/,
      );
    }
    const detector = async () => ({ name: 'mine', detect: async () => [] });
    await expect(swapHead({ source: picture, target: picture, weights, plugins: { detector } })).rejects.toThrow(
      'the source: no face is found',
    );
  });

  it('is a folder', async () => {
    await writeFile(at('notdir.ckpt'), '');
    expect(() => folderWeights(at('notdir.ckpt'))).toThrow(
      new GhostkitError(`${at('notdir.ckpt')}: not a folder; the weights are the folder that the files are in`),
    );
    await mkdir(at('odd'));
    await writeFile(at('odd', 'weights'), 'a file where the original has a folder');
    expect(findInFolder(at('odd'), findWeights('ghost2-aligner'))).toBeUndefined();
  });

  it('says in one line which file does not fit, and how', async () => {
    await mkdir(at('wrong'));
    await writeFile(
      at('wrong', 'aligner_1.safetensors'),
      zeros(new Map([['embedder.por_encoder.conv1.weight', [2, 2]]])),
    );
    const shapes = new Map(new Blender().stateShapes());
    shapes.set('decoder.conv1_2.weight', [64, 64, 5, 5]);
    await writeFile(at('wrong', 'blender_1.safetensors'), zeros(shapes, 'gen.'));
    const weights = folderWeights(at('wrong'));
    await expect(weights.embedder()).rejects.toThrow(
      `${at('wrong', 'backbone50_1.pth')}: there is no such file; ghostkit weights pull ghost2-arcface`,
    );
    await writeFile(at('wrong', 'backbone50_1.pth'), 'not a checkpoint');
    await expect(weights.embedder()).rejects.toThrow(`${at('wrong', 'backbone50_1.pth')}: `);
    await writeFile(at('wrong', 'backbone50_1.pth'), zeros(new Map([['bn1.weight', [64]]])));
    await expect(weights.embedder()).rejects.toThrow(
      /^.*aligner_1\.safetensors: .*the file has \[2,2\], the model needs/,
    );
    await expect(weights.generator()).rejects.toThrow(/^.*aligner_1\.safetensors: the file has no weights of gen\.\*/);
    await expect(weights.blender()).rejects.toThrow(
      `${at('wrong', 'blender_1.safetensors')}: decoder.conv1_2.weight: the file has [64,64,5,5], the model needs [64,64,3,3]`,
    );
  });

  it('says that a file is half a file', async () => {
    await mkdir(at('half'));
    await writeFile(at('half', 'aligner_1.ckpt'), 'x');
    const whole = zeros(new Blender().stateShapes(), 'gen.');
    await writeFile(at('half', 'blender_lama.ckpt'), whole.subarray(0, whole.length >> 1));
    const weights = folderWeights(at('half'));
    await expect(weights.blender()).rejects.toThrow(/^.*blender_lama\.ckpt: [^\n]+$/);
    await writeFile(at('half', 'blender_lama.ckpt'), whole);
    expect((await weights.blender()).parameterCount()).toBeGreaterThan(5e7);
  });
});
