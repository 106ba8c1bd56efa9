/**
 * What a page needs to train a network and to use what it has learnt: networks, training steps, files of weights, compiled models. The build makes
 * one file of it.
 */

export { preprocessingMetadata } from './data/preprocessing.js';
export { IMAGENET, type Preprocessing } from './data/transform.js';
export { loadState } from './formats/load-state.js';
export { labelsMetadata } from './formats/metadata.js';
export { readSafetensors, type SafetensorsOptions, writeSafetensors } from './formats/safetensors.js';
export { createModel, listModels, type ModelOptions } from './models/registry.js';
export { type CompileOptions, compile, compileToBytes } from './nn/compile.js';
export type { Classifier } from './nn/trace.js';
export type { CompiledModel } from './runtime/compiled-model.js';
export { GhostkitError } from './tensor/error.js';
export type { FloatTensor, Shape } from './tensor/tensor.js';
export { type LearningRate, learningRate, type Schedule } from './train/schedule.js';
export { type Batch, type OptimizerOptions, TrainingStep, type TrainingStepOptions } from './train/step.js';
export { type PictureSource, toTensor } from './web/picture.js';
