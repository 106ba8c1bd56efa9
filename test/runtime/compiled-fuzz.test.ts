import { beforeAll, expect, it } from 'vitest';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { createModel } from '../../src/models/registry.js';
import { compileGraphToBytes, compileToBytes } from '../../src/nn/compile.js';
import * as layers from '../../src/nn/layers.js';
import * as ops from '../../src/ops/index.js';
import { quantizeModel } from '../../src/quantize/quantize.js';
import { loadCompiled } from '../../src/runtime/compiled-file.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { assembled, compiledBases, compiledCase, tryCompiled } from '../support/fuzz-compiled.mjs';

const modules = {
  ...ops,
  ...layers,
  ...{
    assignNamedWeights,
    createModel,
    compileToBytes,
    compileGraphToBytes,
    quantizeModel,
    loadCompiled,
    GhostkitError,
  },
};
let bases: Awaited<ReturnType<typeof compiledBases>>;

beforeAll(async () => {
  bases = await compiledBases(modules);
});

it('a file that is put together again is sound', async () => {
  for (const { header, data } of bases) {
    const file = assembled(header, header.__metadata__['ghostkit.program'], data);
    expect(await tryCompiled(modules, file)).toEqual({ read: true, wrong: undefined });
  }
});

it('every damaged compiled model ends in a result or in an error of one line', async () => {
  const wrong: string[] = [];
  let read = 0;
  for (let index = 0; index < 1000; index++) {
    const before = performance.now();
    const result = await tryCompiled(modules, compiledCase(7, index, bases));
    if (result.wrong) wrong.push(`case ${index}: ${result.wrong}`);
    if (performance.now() - before > 5000) wrong.push(`case ${index}: it hangs`);
    if (result.read) read++;
  }
  expect(wrong).toEqual([]);
  // Cases that are all refused at the first byte would test nothing.
  expect(read).toBeGreaterThan(200);
});
