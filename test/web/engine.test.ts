import { expect, it } from 'vitest';
import { createModel } from '../../src/models/registry.js';
import { compileToBytes } from '../../src/nn/compile.js';
import { loadCompiledBytes } from '../../src/runtime/compiled-file.js';
import { Engine } from '../../src/web/engine.js';

it.each([[[1, 3, 32, 48]], [[2, 3, 32, 32]], [[1, 1, 32, 32]]])(
  'says that %j is no picture as it prepares them',
  async (input) => {
    const model = createModel('repghostnet_050', { classes: 4, inChannels: input[1] }).initialize(1);
    const engine = Engine.of(await loadCompiledBytes(compileToBytes(model, { input })));
    // Before it looks at the picture.
    await expect(engine.classify('picture' as unknown as Blob, 1)).rejects.toThrow(
      /^this model takes \[.*\], and pictures are prepared as \[1,3,\d+,\d+\]: give run what you prepare yourself$/,
    );
    expect(engine.run(new Float32Array(input.reduce((a, b) => a * b))).logits.shape).toEqual([input[0], 4]);
    engine.close();
  },
);
