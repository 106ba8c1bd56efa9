/** What a page needs to run a compiled model, and nothing else: no compiler, no graph, no dependency. The build makes one file of it. */

export type { Interpolation } from './data/resample.js';
export type { NamedClass } from './data/top-classes.js';
export { IMAGENET, type Preprocessing } from './data/transform.js';
export { type FetchModel, type LoadOptions, type LoadProgress, loadCompiled } from './runtime/compiled-file.js';
export type { CompiledModel } from './runtime/compiled-model.js';
export { GhostkitError } from './tensor/error.js';
export type { FloatTensor, Shape } from './tensor/tensor.js';
export type { ModelInput } from './web/engine.js';
export { load, type WebLoadOptions, type WebModel } from './web/load.js';
export { type PictureSource, toTensor } from './web/picture.js';
