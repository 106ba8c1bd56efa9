/** What can be fuzzed: for each kind of file how its cases are made, what they are read with, and the rule that all of them keep. */

import { fuzzCase, loadBases, tryCase } from './fuzz-cases.mjs';
import { compiledBases, compiledCase, tryCompiled } from './fuzz-compiled.mjs';
import { onnxCase, tryOnnx } from './fuzz-onnx.mjs';

/**
 * `modules` are paths in the build; `prepare` makes what all cases start from; `make` gives the bytes of one case; `attempt` reads them and tells
 * `{ read, wrong }`.
 */
export const KINDS = {
  checkpoints: {
    modules: ['formats/checkpoint.js', 'tensor/error.js'],
    prepare: (_, { checkpoints }) => loadBases(checkpoints),
    make: fuzzCase,
    attempt: tryCase,
  },
  onnx: {
    modules: ['models/read-onnx.js', 'nn/trace.js', 'nn/compile.js', 'graph/value.js', 'tensor/error.js'],
    prepare: () => undefined,
    make: onnxCase,
    attempt: tryOnnx,
  },
  compiled: {
    modules: [
      'nn/compile.js',
      // Layers have the names of some operators, and are meant.
      'ops/index.js',
      'nn/layers.js',
      'models/registry.js',
      'models/named-weights.js',
      'quantize/quantize.js',
      'runtime/compiled-file.js',
      'tensor/error.js',
    ],
    prepare: compiledBases,
    make: compiledCase,
    attempt: tryCompiled,
  },
};
