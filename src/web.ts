/** What a page needs to run a compiled model, and nothing else: no compiler, no graph, no dependency. The build makes one file of it. */

export { type LoadOptions, loadCompiled } from './runtime/compiled-file.js';
export type { CompiledModel } from './runtime/compiled-model.js';
export { GhostkitError } from './tensor/error.js';
export type { FloatTensor, Shape } from './tensor/tensor.js';
