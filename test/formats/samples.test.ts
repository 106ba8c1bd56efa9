import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseCheckpoint, type StateDict } from '../../src/formats/checkpoint.js';
import { readCheckpoint } from '../../src/formats/checkpoint-file.js';
import { narrowToBfloat16, narrowToFloat16, widenBfloat16, widenFloat16 } from '../../src/formats/half.js';
import { namedTensor } from '../../src/models/named-weights.js';

const folder = fileURLToPath(new URL('../../../shared/checkpoints/', import.meta.url));
const present = existsSync(folder);
if (!present) console.warn(`skipped: the sample checkpoints are not at ${folder}`);

function expectNamedWeights(state: StateDict): void {
  for (const [name, { shape, data, dtype }] of state) {
    const { data: values } = namedTensor(name, shape);
    if (dtype === 'int64') expect([...data].every((v) => v === 0n)).toBe(true);
    else expect(Buffer.compare(Buffer.from(data.buffer), Buffer.from(values.buffer)), name).toBe(0);
  }
}

describe.skipIf(!present)('checkpoints written by PyTorch', () => {
  it.each([
    ['ghostnet-0.3-legacy.pth', 'pytorch-legacy', 'root', 512],
    ['ghostnet-0.3-zip.pth', 'pytorch-zip', 'root', 512],
    ['repghostnet-0.3-timm-style.pth.tar', 'pytorch-zip', 'state_dict_ema', 672],
  ])('%s holds the weights of its names', async (name, format, source, size) => {
    const checkpoint = await readCheckpoint(folder + name);
    expect(checkpoint).toMatchObject({ format, source });
    expect(checkpoint.state.size).toBe(size);
    expectNamedWeights(checkpoint.state);
  });

  it('the plain weights of the timm-style one are zeros, and given when asked for', async () => {
    const { state, source, metadata } = await readCheckpoint(`${folder}repghostnet-0.3-timm-style.pth.tar`, {
      prefer: 'model',
    });
    expect(source).toBe('state_dict');
    expect(state.has('conv_stem.weight')).toBe(true);
    expect([...state.values()].every(({ data }) => [...data].every((v) => Number(v) === 0))).toBe(true);
    expect(metadata).toMatchObject({ epoch: '299', arch: 'repghost.repghostnet' });
  });

  it('the Lightning-style one has every dtype and view', async () => {
    const { state, source, metadata, storedTypes } = await readCheckpoint(`${folder}lightning-style.ckpt`);
    expect(source).toBe('state_dict');
    expect([...new Set(storedTypes)].sort()).toEqual(['bfloat16', 'bool', 'float16', 'float32', 'float64', 'int64']);
    expect(metadata).toMatchObject({ 'pytorch-lightning_version': '2.5.0' });
    const float32Of = (name: string, shape: number[]) => namedTensor(name, shape).data;
    const { 'gen.steps': steps, 'gen.flag': flag, ...floats } = Object.fromEntries(state);
    expect(steps).toEqual({ dtype: 'int64', shape: [], data: BigInt64Array.of(7n) });
    expect(flag).toEqual({ dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) });
    const strided = float32Of('gen.strided.weight', [6, 5]);
    const view = float32Of('gen.view.weight', [6, 5]);
    const half = widenFloat16(narrowToFloat16(float32Of('gen.half.weight', [6, 5])));
    const brain = widenBfloat16(narrowToBfloat16(float32Of('gen.bf16.weight', [6, 5])));
    expect(floats).toEqual({
      'gen.constant.constant': {
        dtype: 'float32',
        shape: [1, 8, 4, 4],
        data: float32Of('gen.constant.constant', [1, 8, 4, 4]),
      },
      'gen.half.weight': { dtype: 'float32', shape: [6, 5], data: half },
      'gen.bf16.weight': { dtype: 'float32', shape: [6, 5], data: brain },
      'gen.strided.weight': {
        dtype: 'float32',
        shape: [5, 6],
        data: Float32Array.from({ length: 30 }, (_, i) => strided[(i % 6) * 5 + Math.floor(i / 6)]),
      },
      'gen.view.weight': {
        dtype: 'float32',
        shape: [3, 2],
        data: Float32Array.of(...[1, 2, 3].flatMap((row) => [view[row * 5 + 1], view[row * 5 + 2]])),
      },
      'gen.double.weight': {
        dtype: 'float64',
        shape: [3, 4],
        data: Float64Array.from(float32Of('gen.double.weight', [3, 4])),
      },
    });
  });

  it.each(['hostile.pkl', 'hostile-zip.pth'])('%s is refused by name, and nothing is run', async (name) => {
    await expect(readCheckpoint(folder + name)).rejects.toThrow(
      `${folder}${name}: refused: loading this file in Python`,
    );
    await expect(readCheckpoint(folder + name)).rejects.toThrow('posix.system');
    expect(existsSync('pwned-by-checkpoint')).toBe(false);
  });

  it('truncated.pth is one line', async () => {
    await expect(readCheckpoint(`${folder}truncated.pth`)).rejects.toThrow(
      /: the zip archive is damaged or truncated \([^\n.]*\)$/,
    );
  });

  it.each([0.1, 0.5, 0.9, 0.999])('%d of each file is an error of one line', async (share) => {
    for (const name of ['ghostnet-0.3-legacy.pth', 'ghostnet-0.3-zip.pth', 'lightning-style.ckpt']) {
      const bytes = readFileSync(folder + name);
      const cut = bytes.subarray(0, Math.floor(bytes.length * share));
      await expect(parseCheckpoint(cut)).rejects.toMatchObject({ name: 'GhostkitError' });
    }
  });
});
