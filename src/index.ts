/** Everything of ghostkit in Node. A page uses `web.ts`, which leaves out what needs files. */

export { type LoadClassifierOptions, loadClassifier, type PictureClassifier } from './classify/classifier.js';
export { type Dataset, MemoryDataset, perClass, split, subset } from './data/dataset.js';
export { loadImage } from './data/image.js';
export { parseLabels } from './data/labels.js';
export type { Batch } from './data/loader/batch.js';
export { createLoader, type Loader, type LoadingOptions } from './data/loader/loader.js';
export { type DataSplits, openDataset } from './data/open-dataset.js';
export { preprocessingIn, preprocessingMetadata } from './data/preprocessing.js';
export { type Interpolation, type Region, type RgbImage, resample } from './data/resample.js';
export type { NamedClass } from './data/top-classes.js';
export { centerCrop, IMAGENET, type Preprocessing, toTensor } from './data/transform.js';
export { writeFileAtomic } from './formats/atomic.js';
export {
  type Checkpoint,
  type CheckpointOptions,
  type LoadStateOptions,
  loadState,
  parseCheckpoint,
  type StateDict,
} from './formats/checkpoint.js';
export { readCheckpoint } from './formats/checkpoint-file.js';
export { labelsMetadata } from './formats/metadata.js';
export { exportOnnx, type OnnxExportOptions } from './formats/onnx/export.js';
export { readSafetensors, type SafetensorsOptions, writeSafetensors } from './formats/safetensors.js';
export { deploy, optimize } from './graph/passes/deploy.js';
export { reshapeInput } from './graph/passes/reshape-input.js';
export type { Graph, Value } from './graph/value.js';
export { BACKENDS, type Backend } from './headswap/backends.js';
export { type DetectOptions, detectFaces, FaceDetector, type FaceDetectorOptions } from './headswap/detect/detect.js';
export type { Face } from './headswap/detect/face.js';
export { estimateSimilarity, type FivePoints, invertTransform, type Point } from './headswap/geometry.js';
export { arcfaceTransform, type Crop, cropArcface, cropWide, wideTransform } from './headswap/geometry-crops.js';
export { type PasteOptions, pasteBack } from './headswap/geometry-paste.js';
export { warpAffine, warpMask } from './headswap/geometry-warp.js';
export { SwapNetworks } from './headswap/networks.js';
export { type PictureInfo, pictureInfo, writePicture } from './headswap/picture-file.js';
export {
  STAGES,
  type Stage,
  type StageSink,
  type SwapOptions,
  type SwapResult,
  swapHead,
} from './headswap/pipeline.js';
export type {
  Detector,
  FoundFace,
  HeadHint,
  Inpainter,
  Matting,
  Plugin,
  Plugins,
  Segmenter,
} from './headswap/plugins.js';
export { availablePlugins, builtInPlugins } from './headswap/plugins-default.js';
export { COMPOSITE_SOURCE_TYPE, type Provenance, readProvenance, xmpPacket } from './headswap/provenance.js';
export { stageFolder, swapProvenance, writeSwap } from './headswap/swap-file.js';
export { NAMED_WEIGHTS, type SwapWeights } from './headswap/weights.js';
export { folderWeights } from './headswap/weights-folder.js';
export { cachedPath, cacheState, imagenetLabels, type Pulled, pull, type Verdict, verify } from './hub/cache.js';
export { type Downloaded, type DownloadOptions, download } from './hub/download.js';
export { cacheFolder } from './hub/folders.js';
export { expandWeights, findWeights, WEIGHTS, type WeightsEntry } from './hub/manifest.js';
export { DeployedClassifier } from './models/deployed.js';
export { GhostModule, type GhostModuleOptions } from './models/ghost-module.js';
export {
  ALIGNER_SHAPES,
  Aligner,
  type AlignerOptions,
  type AlignerShapes,
  alignerGraph,
  discriminatorGraph,
} from './models/ghost2/aligner.js';
export { Discriminator, type DiscriminatorOptions, type Judgement } from './models/ghost2/discriminator.js';
export { Embedder, type EmbedderOptions, type EmbedderPictures, type Embeddings } from './models/ghost2/embedder.js';
export { type GeneratedHead, Generator, type GeneratorOptions } from './models/ghost2/generator.js';
export { IResNet, type IResNetOptions } from './models/ghost2/iresnet.js';
export { MobileNetV2, type MobileNetV2Options } from './models/ghost2/mobilenetv2.js';
export { ResNeXt, type ResNeXtOptions } from './models/ghost2/resnext.js';
export { ghostResnet50, ghostResnet56, ghostVgg16 } from './models/ghostified.js';
export { type GhostifyLayer, type GhostifyOptions, ghostify } from './models/ghostify.js';
export { GhostBottleneck, type GhostBottleneckOptions, GhostNet, ghostnet } from './models/ghostnet.js';
export { type Form, guessModel, identify, type LoadedModel, metadataOf } from './models/identify.js';
export { ImportedModel } from './models/imported.js';
export { type MobileNetV3Options, mobilenetV3Large, mobilenetV3Small } from './models/mobilenetv3.js';
export { assignNamedWeights, namedInput, namedTensor } from './models/named-weights.js';
export type { ClassifierOptions } from './models/options.js';
export { type ReadOnnxOptions, readOnnx } from './models/read-onnx.js';
export {
  createModel,
  findModel,
  listModels,
  type ModelEntry,
  type ModelFamily,
  type ModelOptions,
  type PaperResult,
  remapKeys,
} from './models/registry.js';
export { type Reparam, RepGhostModule, type RepGhostModuleOptions } from './models/repghost-module.js';
export {
  RepGhostBottleneck,
  type RepGhostBottleneckOptions,
  RepGhostNet,
  type RepGhostNetOptions,
  repghostnet,
} from './models/repghostnet.js';
export {
  CifarResNet,
  ResNet,
  type ResNetOptions,
  resnet18,
  resnet34,
  resnet50,
  resnet56,
  resnet101,
} from './models/resnet.js';
export { graphStats, type ModelStats, modelStats } from './models/stats.js';
export { Vgg, type VggOptions, vgg16 } from './models/vgg.js';
export { type CompileOptions, compile, compileGraph, compileGraphToBytes, compileToBytes } from './nn/compile.js';
export * from './nn/layers.js';
export { Module, Network, Parameter } from './nn/module.js';
export { SpectralConv2d, SpectralLinear, settleSpectralNorm } from './nn/spectral-norm.js';
export { Classifier, type TraceOptions, trace } from './nn/trace.js';
export * as ops from './ops/index.js';
export { quantizeModel } from './quantize/quantize.js';
export type { LayerError, QuantizedModel, QuantizeOptions } from './quantize/types.js';
export { type FetchModel, type LoadOptions, type LoadProgress, loadCompiled } from './runtime/compiled-file.js';
export type { CompiledModel } from './runtime/compiled-model.js';
export { type OnnxClassifierOptions, onnxClassifier } from './runtime/onnx/classifier.js';
export { enableWideSimd } from './runtime/platform.js';
export type { Runner } from './runtime/runner.js';
export { GhostkitError } from './tensor/error.js';
export {
  type DType,
  type FloatTensor,
  float32,
  type Shape,
  type Tensor,
  tensor,
  toFloat32,
} from './tensor/tensor.js';
export {
  type Best,
  readTrainingCheckpoint,
  type TrainingCheckpoint,
  type TrainingProgress,
} from './train/checkpoint.js';
export type { TrainConfig } from './train/config.js';
export { EVALUATION_BATCH, type EvaluateOptions, evaluate } from './train/evaluate.js';
export { ConfusionMatrix, Evaluation, type Mistake } from './train/metrics.js';
export { bestEpoch, type EpochMetrics, parseMetrics } from './train/metrics-log.js';
export type { StepReport, TrainObserver } from './train/observer.js';
export { RECIPES, type Recipe } from './train/recipes.js';
export { type ReportData, renderReport } from './train/report/report.js';
export { parseConfig, resolveConfig } from './train/resolve-config.js';
export { type LearningRate, learningRate, type Schedule } from './train/schedule.js';
export { type OptimizerOptions, TrainingStep, type TrainingStepOptions } from './train/step.js';
export { type TrainOptions, type TrainResult, train } from './train/trainer.js';
export { openTrainingData, type TrainingData } from './train/training-data.js';
