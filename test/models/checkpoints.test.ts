import { describe, expect, it } from 'vitest';
import { loadState } from '../../src/formats/checkpoint.js';
import { readCheckpoint } from '../../src/formats/checkpoint-file.js';
import { namedTensor } from '../../src/models/named-weights.js';
import { createModel, remapKeys } from '../../src/models/registry.js';
import { hasShared, sharedPath } from './shared.js';

const bytes = (data: Float32Array) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

describe.skipIf(!hasShared)('checkpoints of the originals', () => {
  it.each([
    ['ghostnet_050', 'ghostnet-0.3-legacy.pth'],
    ['ghostnet_050', 'ghostnet-0.3-zip.pth'],
    ['repghostnet_050', 'repghostnet-0.3-timm-style.pth.tar'],
  ])('%s at width 0.3 has exactly the keys and shapes of %s', async (name, file) => {
    const { state } = await readCheckpoint(sharedPath(`checkpoints/${file}`));
    const model = createModel(name, { width: 0.3, classes: 10 });
    const shapes = model.stateShapes();
    const counters = [...state.keys()].filter((key) => key.endsWith('num_batches_tracked'));
    expect([...shapes.keys()]).toEqual([...state.keys()].filter((key) => !counters.includes(key)));

    model.assign(loadState(shapes, remapKeys(name, state)));
    for (const [key, { shape, data }] of model.state()) {
      expect(Buffer.compare(bytes(data), bytes(namedTensor(key, shape).data)), key).toBe(0);
    }
  });

  it('says what does not fit', async () => {
    const { state } = await readCheckpoint(sharedPath('checkpoints/ghostnet-0.3-zip.pth'));
    const shapes = createModel('ghostnet_100', { classes: 10 }).stateShapes();
    expect(() => loadState(shapes, state)).toThrow(
      /^conv_stem\.weight: the file has \[.*\], the model needs \[16,3,3,3\]/,
    );
  });
});
