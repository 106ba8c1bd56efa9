import { setImmediate } from 'node:timers/promises';
import type { Batch, Unreadable } from '../data/loader/batch.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { METADATA } from '../formats/metadata.js';
import { compile } from '../nn/compile.js';
import type { CompiledModel } from '../runtime/compiled-model.js';
import { OutOfMemoryError } from '../runtime/executor.js';
import { GhostkitError } from '../tensor/error.js';
import type { FloatTensor } from '../tensor/tensor.js';
import { type Best, readTrainingCheckpoint, type TrainingProgress, writeTrainingCheckpoint } from './checkpoint.js';
import type { TrainConfig } from './config.js';
import { evaluate } from './evaluate.js';
import { betterOf, type Evaluated, isBetter } from './evaluated.js';
import { Loaders } from './loaders.js';
import { inputSizeAt } from './loading.js';
import { type Evaluation, predictions } from './metrics.js';
import type { EpochMetrics } from './metrics-log.js';
import type { StepReport, TrainObserver } from './observer.js';
import { checkResumable, digestOf } from './resume.js';
import { RunFolder } from './run-folder.js';
import { type Stage, stagesOf } from './stages.js';
import { TrainingStep } from './step.js';
import { labelTargets } from './targets.js';
import { openTrainingData, type TrainingData } from './training-data.js';
import {
  createTrainedModel,
  encodeTrainedModel,
  readTrainable,
  type TrainedModel,
  transferWeights,
} from './training-model.js';

export interface TrainOptions {
  /** The pictures; by default those in the folder or tar file of the configuration. */
  readonly data?: TrainingData;
  /** Stops the training behind the next step, with a checkpoint of where it is. */
  readonly signal?: AbortSignal;
  readonly observer?: TrainObserver;
}

export interface TrainResult {
  /** Whether it came to its end, and was not stopped. */
  readonly finished: boolean;
  /** Epochs that are done. */
  readonly epochs: number;
  readonly best?: Best;
  readonly metrics: readonly EpochMetrics[];
  readonly folder: RunFolder;
  readonly unreadable: readonly Unreadable[];
}

/**
 * Trains a network as a configuration says, in its folder: a checkpoint and a report behind every epoch, the best network at the end. With
 * `resume` it goes on from the checkpoint there, and what comes out is the same, bit for bit, as if it had never stopped.
 *
 * @throws GhostkitError in one line for data or a checkpoint that do not fit, for a loss that is no number, and for a file that cannot be
 * written; the last checkpoint is then still there.
 */
export async function train(config: TrainConfig, options: TrainOptions = {}): Promise<TrainResult> {
  const folder = new RunFolder(config.output);
  const checkpoint = await readTrainingCheckpoint(folder.last);
  if (checkpoint && !config.resume) {
    throw new GhostkitError(`${config.output} has a training in it; resume that, or name another folder`);
  }
  if (!checkpoint) await folder.checkUnused();
  const data = options.data ?? (await openTrainingData(config));
  if (data.val.length === 0) throw new GhostkitError('there are no pictures for validation');
  if (checkpoint) checkResumable(folder.last, checkpoint.progress, config, data);
  if (checkpoint?.progress.best) await folder.checkBest();
  const trained = createTrainedModel(config, data.train.classes);
  if (!checkpoint && config.finetune)
    transferWeights(trained, await readTrainable(config.finetune.weights, config.model));
  const loaders = await Loaders.open(config, data, checkpoint?.progress.epoch);
  let training: Training | undefined;
  try {
    training = new Training(config, data, folder, trained, loaders, options);
    await folder.open(checkpoint?.progress.epoch ?? 0);
    return await training.run(checkpoint);
  } catch (error) {
    // A full disk, most of all: half a file is never left, and what stood there is.
    if (!(error instanceof GhostkitError) || !error.message.startsWith('cannot write')) throw error;
    const kept = training?.hasSaved ? '; the last checkpoint is still there, to resume from' : '';
    throw new GhostkitError(`${error.message}${kept}`, { cause: error });
  } finally {
    training?.close();
    await loaders.close();
  }
}

class Training {
  private readonly stages: readonly Stage[];
  private readonly targets: Float32Array;
  private progress: TrainingProgress;
  private step?: TrainingStep;
  private saved = performance.now();
  /** Whether there is a checkpoint of this training. */
  hasSaved = false;
  private told = 0;
  /** What the report shows: the best evaluation of this process, or the first, which {@link ReportSource} tells the epoch of. */
  private shown: { readonly epoch: number; readonly evaluation: Evaluation } | undefined;
  /** Of this process: seconds of training and of evaluation, and the steps and evaluations in them. */
  private readonly spent = { training: 0, steps: 0, evaluation: 0, evaluations: 0 };

  constructor(
    private readonly config: TrainConfig,
    private readonly data: TrainingData,
    private readonly folder: RunFolder,
    private readonly trained: TrainedModel,
    private readonly loaders: Loaders,
    private readonly options: TrainOptions,
  ) {
    this.stages = stagesOf(config, trained.model, loaders.training.batches);
    this.targets = new Float32Array(config.batchSize * data.train.classes.length);
    this.progress = {
      ...{ config, classes: [...data.train.classes] },
      ...{ pictures: data.train.length, names: digestOf(data) },
      ...{ epoch: 0, batch: 0, stage: 0, steps: 0, sums: { loss: 0, correct: 0, seconds: 0 }, best: null },
    };
  }

  async run(checkpoint: Awaited<ReturnType<typeof readTrainingCheckpoint>>): Promise<TrainResult> {
    const { config, folder, options, loaders } = this;
    if (checkpoint) this.progress = { ...checkpoint.progress, config };
    this.hasSaved = checkpoint !== undefined;
    const { epoch, batch, stage } = this.progress;
    if (epoch < config.epochs) {
      // A checkpoint from the end of a stage has the weights that the next one begins with.
      if (checkpoint) this.trained.model.assign(checkpoint.tensors);
      await this.startStage(epoch);
      if (checkpoint && this.progress.stage === stage)
        this.step?.restore(checkpoint.tensors, checkpoint.progress.steps);
      const { data, trained } = this;
      options.observer?.start?.({ data, trained, epoch, step: batch, steps: loaders.training.batches });
    }
    let finished = true;
    while (finished && this.progress.epoch < config.epochs) finished = await this.runEpoch();
    if (finished) await folder.finish();
    return {
      ...{
        finished,
        epochs: this.progress.epoch,
        folder,
        metrics: folder.metrics,
        unreadable: this.loaders.unreadable,
      },
      ...(this.progress.best && { best: this.progress.best }),
    };
  }

  close(): void {
    this.step?.close();
  }

  /** Makes the program of an epoch's stage, out of the model's weights as they are. */
  private async startStage(epoch: number): Promise<void> {
    const number = this.stages.findIndex(({ to }) => epoch < to);
    const { batchSize } = this.config;
    const size = inputSizeAt(this.config, epoch);
    this.step?.close();
    try {
      const input = [batchSize, 3, size, size];
      this.step = await TrainingStep.create(this.trained.model, { ...this.stages[number].step, input });
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      throw new GhostkitError(`${error.message}; try a smaller batchSize (accumulate makes up for it) or inputSize`, {
        cause: error,
      });
    }
    if (number !== this.progress.stage) this.progress = { ...this.progress, stage: number, steps: 0 };
  }

  /** Gets ready for an epoch: a stage of its own begins anew from the weights, another size of the pictures goes on with everything. */
  private async prepare(epoch: number): Promise<void> {
    const { loaders } = this;
    const isNewStage = epoch >= this.stages[this.progress.stage].to;
    const isNewSize = loaders.isOfOtherSize(epoch);
    if (!isNewStage && !isNewSize) return;
    const state = isNewStage ? undefined : this.step?.state();
    if (isNewStage) this.step?.writeTo(this.trained.model);
    await this.startStage(epoch);
    if (state) this.step?.restore(state.tensors, state.steps);
    if (isNewSize) await loaders.resize(epoch);
  }

  /** Trains and evaluates the epoch that is due. Returns `false` when it was stopped. */
  private async runEpoch(): Promise<boolean> {
    const { epoch } = this.progress;
    await this.prepare(epoch);
    if (!(await this.trainEpoch(epoch))) return false;
    const isDue = (epoch + 1) % this.config.evaluateEvery === 0 || epoch + 1 === this.config.epochs;
    const evaluated = isDue ? await this.evaluateEpoch() : undefined;
    if (isDue && !evaluated) {
      await this.save();
      return false;
    }
    await this.closeEpoch(epoch, evaluated);
    return true;
  }

  private async trainEpoch(epoch: number): Promise<boolean> {
    const { config, options } = this;
    const { training: loader } = this.loaders;
    const { from, rate } = this.stages[this.progress.stage];
    let began = performance.now();
    for await (const batch of loader.epoch(epoch, this.progress.batch)) {
      const learningRate = rate((epoch - from) * loader.batches + batch.number);
      const { loss, correct } = this.learn(batch, learningRate);
      if (!Number.isFinite(loss)) throw this.divergence(batch.number + 1);
      const now = performance.now();
      const seconds = (now - began) / 1000;
      began = now;
      this.spent.training += seconds;
      this.spent.steps++;
      const { sums } = this.progress;
      this.progress = {
        ...this.progress,
        batch: batch.number + 1,
        steps: this.progress.steps + 1,
        sums: {
          loss: sums.loss + loss * config.batchSize,
          correct: sums.correct + correct,
          seconds: sums.seconds + seconds,
        },
      };
      options.observer?.step?.(this.report(learningRate));
      // A step does not return to the event loop, which is where Ctrl-C waits.
      await setImmediate();
      if (options.signal?.aborted) {
        await this.save();
        return false;
      }
      if (this.isSaveDue(batch.number + 1)) await this.save();
    }
    return true;
  }

  private learn(batch: Batch, learningRate: number): { loss: number; correct: number } {
    const { seed, labelSmoothing } = this.config;
    const { labels, count, images } = batch;
    const classes = this.data.train.classes.length;
    const targets = batch.targets ?? labelTargets(labels, count, classes, labelSmoothing, this.targets);
    const step = this.step as TrainingStep;
    // What dropout drops depends on the step within the whole training and on the seed, and fits into a float.
    const at = batch.epoch * this.loaders.training.batches + batch.number;
    const { loss, logits } = step.run({ images, targets, learningRate, seed: (Math.imul(seed, 7919) + at) & 0xffffff });
    const guesses = predictions(logits.data, classes, count);
    return { loss, correct: guesses.reduce((sum, guess, i) => sum + (guess === labels[i] ? 1 : 0), 0) };
  }

  private divergence(step = this.progress.batch): GhostkitError {
    const { epoch } = this.progress;
    return new GhostkitError(
      `the training has diverged: its numbers are too large (epoch ${epoch + 1}, step ${step}, ` +
        `learning rate ${this.lastRate().toPrecision(3)}); try a lower optimizer.lr, a longer schedule.warmupEpochs, or ` +
        `clipNorm=1${this.hasSaved ? `; what was saved before is kept in ${this.folder.path}` : ''}`,
    );
  }

  private report(learningRate: number): StepReport {
    const { epoch, batch, sums } = this.progress;
    const { epochs, batchSize, evaluateEvery } = this.config;
    const steps = this.loaders.training.batches;
    const { spent } = this;
    const left = (epochs - epoch) * steps - batch;
    const perEvaluation = spent.evaluations > 0 ? spent.evaluation / spent.evaluations : 0;
    return {
      ...{ epoch, epochs, step: batch, steps, learningRate },
      loss: sums.loss / (batch * batchSize),
      imagesPerSecond: (spent.steps * batchSize) / spent.training,
      secondsLeft: (spent.training / spent.steps) * left + perEvaluation * Math.ceil((epochs - epoch) / evaluateEvery),
    };
  }

  private isSaveDue(done: number): boolean {
    const { saveEverySteps, saveEverySeconds } = this.config;
    // The end of an epoch is saved with its evaluation.
    if (done === this.loaders.training.batches) return false;
    if (saveEverySteps !== null && done % saveEverySteps === 0) return true;
    return saveEverySeconds !== null && performance.now() - this.saved >= saveEverySeconds * 1000;
  }

  /** Writes where the training is. A state that is no good any more does not take the place of one that was. */
  private async save(): Promise<void> {
    await writeTrainingCheckpoint(this.folder.last, { progress: this.progress, tensors: this.soundState() });
    this.saved = performance.now();
    this.hasSaved = true;
  }

  /** The state of the training; throws when it has diverged. */
  private soundState(): ReadonlyMap<string, FloatTensor> {
    const { tensors } = (this.step as TrainingStep).state();
    if ([...tensors.values()].some(({ data }) => !data.every(Number.isFinite))) throw this.divergence();
    return tensors;
  }

  /** The learning rate of the step before. */
  private lastRate(): number {
    const { stage, steps } = this.progress;
    return this.stages[stage].rate(Math.max(0, steps - 1));
  }

  /** Evaluates the weights and, where there is one, their average; undefined when it was stopped. */
  private async evaluateEpoch(): Promise<Evaluated | undefined> {
    const began = performance.now();
    this.soundState();
    const weights = await this.evaluateAs('weights');
    const hasAverage = this.stages[this.progress.stage].step.averageDecay !== undefined;
    const average = weights && hasAverage ? await this.evaluateAs('average') : undefined;
    const seconds = (performance.now() - began) / 1000;
    this.spent.evaluation += seconds;
    this.spent.evaluations++;
    if (!weights || (hasAverage && !average)) return undefined;
    if (!Number.isFinite(weights.meanLoss)) throw this.divergence();
    return { weights, ...(average && { average }), seconds };
  }

  private async evaluateAs(which: Best['which']): Promise<Evaluation | undefined> {
    this.step?.writeTo(this.trained.model, which);
    const net = await this.compileForEvaluation();
    try {
      const { signal, observer } = this.options;
      return await evaluate(net, this.loaders.held, {
        signal,
        onProgress: (done, total) => observer?.evaluation?.(done, total),
      });
    } finally {
      net.close();
    }
  }

  /** The network as it is, for as many pictures at a time as there is memory for. */
  private async compileForEvaluation(): Promise<CompiledModel> {
    const { model, preprocessing } = this.trained;
    const { size } = preprocessing;
    for (;;) {
      const input = [this.loaders.held.options.batchSize, 3, size, size];
      try {
        return await compile(model, { input, threads: this.config.threads });
      } catch (error) {
        if (!(error instanceof OutOfMemoryError) || !(await this.loaders.halve())) throw error;
      }
    }
  }

  private async closeEpoch(epoch: number, evaluated: Evaluated | undefined): Promise<void> {
    const { folder, options } = this;
    const metrics = this.metricsOf(epoch, evaluated);
    await folder.addMetrics(metrics);
    const isBest = evaluated !== undefined && (await this.keepBest(epoch, evaluated));
    const { unreadable } = this.loaders;
    this.progress = { ...this.progress, epoch: epoch + 1, batch: 0, sums: { loss: 0, correct: 0, seconds: 0 } };
    await this.save();
    if (unreadable.length > this.told) options.observer?.unreadable?.(unreadable);
    this.told = unreadable.length;
    options.observer?.epoch?.(metrics, isBest);
  }

  /** Writes the report, and the network if it is the best so far. */
  private async keepBest(epoch: number, evaluated: Evaluated): Promise<boolean> {
    const { folder, config, trained, data } = this;
    const { unreadable } = this.loaders;
    const [which, evaluation] = betterOf(evaluated);
    const { top1, top5, meanLoss: loss } = evaluation;
    const isBest = isBetter({ top1, loss }, this.progress.best);
    if (isBest) {
      this.progress = { ...this.progress, best: { epoch, which, top1, top5, loss } };
      this.step?.writeTo(trained.model, which);
      const result = { ...this.progress.best, pictures: evaluation.count };
      await writeFileAtomic(folder.best, encodeTrainedModel(trained, { [METADATA.result]: JSON.stringify(result) }));
    }
    // A process that goes on with a training has not seen its best epoch; what it shows until there is a better one says which it is.
    if (isBest || !this.shown) this.shown = { epoch, evaluation };
    await folder.writeReport({ config, trained, data, unreadable, epoch: this.shown.epoch }, this.shown.evaluation);
    return isBest;
  }

  private metricsOf(epoch: number, { weights, average, seconds = 0 }: Partial<Evaluated> = {}): EpochMetrics {
    const { sums, batch } = this.progress;
    const pictures = batch * this.config.batchSize;
    return {
      ...{ epoch, lr: this.lastRate(), trainLoss: sums.loss / pictures },
      // Of mixed pictures there is no one class to be right about.
      ...(this.config.mixing === null && { trainTop1: sums.correct / pictures }),
      ...(weights && { valLoss: weights.meanLoss, valTop1: weights.top1, valTop5: weights.top5 }),
      ...(average && { emaLoss: average.meanLoss, emaTop1: average.top1, emaTop5: average.top5 }),
      ...{ seconds: sums.seconds + seconds, imagesPerSecond: pictures / sums.seconds },
    };
  }
}
