import type { Network } from '../nn/module.js';
import { GhostkitError } from '../tensor/error.js';
import type { TrainConfig } from './config.js';
import { type LearningRate, learningRate, type Schedule } from './schedule.js';
import type { OptimizerOptions, TrainingStepOptions } from './step.js';

/** Epochs that are trained in the same way, by one program. */
export interface Stage {
  readonly name: 'all' | 'head';
  /** Its first epoch, and the one behind its last. */
  readonly from: number;
  readonly to: number;
  /** What its program does, beside the batch's shape. */
  readonly step: Omit<TrainingStepOptions, 'input'>;
  /** By the step within the stage. */
  readonly rate: LearningRate;
}

/** The stage's averages look back over this share of it at most: of a longer one the beginning would be most. */
const AVERAGED_SHARE = 0.1;

function optimizerOf({ optimizer }: TrainConfig): OptimizerOptions {
  const { weightDecay } = optimizer;
  if (optimizer.kind === 'sgd') {
    const { momentum, nesterov } = optimizer;
    return { name: 'sgd', momentum, nesterov, weightDecay };
  }
  return { name: 'adamw', betas: optimizer.betas, epsilon: optimizer.eps, weightDecay };
}

/** The part of a network that a parameter belongs to: `blocks.3` of `blocks.3.0.ghost1.primary_conv.0.weight`. */
const partOf = (name: string): string => /^[^.]+(\.\d+)?/.exec(name)?.[0] ?? name;

/** The names of a classifier's last layer. */
export function headOf(model: Network): (name: string) => boolean {
  const last = [...model.stateShapes().keys()].findLast((name) => name.endsWith('.weight')) ?? '';
  const prefix = last.slice(0, last.lastIndexOf('.') + 1);
  return (name) => name.startsWith(prefix);
}

/** A factor of the learning rate for every parameter: 1 for the last layer, and for each part before it `decay` times that of the next. */
export function layerRates(model: Network, decay: number): (name: string) => number {
  const isHead = headOf(model);
  const parts = [...new Set([...model.stateShapes().keys()].filter((name) => !isHead(name)).map(partOf))];
  const depth = new Map(parts.map((part, i) => [part, parts.length - i]));
  return (name) => (isHead(name) ? 1 : decay ** (depth.get(partOf(name)) ?? 0));
}

/** Throws for settings by which a part of the training would have nothing to do. */
function checkParts({ epochs, finetune, progressive, accumulate }: TrainConfig, stepsPerEpoch: number): void {
  const headEpochs = finetune?.headEpochs ?? 0;
  if (headEpochs >= epochs) {
    throw new GhostkitError(`finetune.headEpochs: ${headEpochs} of ${epochs} epochs leave none for the whole network`);
  }
  const last = progressive?.at(-1)?.until ?? 0;
  if (last >= epochs) {
    throw new GhostkitError(`progressive: smaller pictures until epoch ${last} of ${epochs} leave none for inputSize`);
  }
  const parts = [
    { what: 'all', steps: (epochs - headEpochs) * stepsPerEpoch },
    ...(headEpochs > 0 ? [{ what: 'the head', steps: headEpochs * stepsPerEpoch }] : []),
  ];
  const short = parts.find(({ steps }) => steps < accumulate);
  if (short) {
    const where = headEpochs > 0 ? ` of the part that trains ${short.what}` : '';
    throw new GhostkitError(`accumulate: the ${short.steps} steps${where} are too few for one update of ${accumulate}`);
  }
}

/** A schedule whose warm-up ends: one as long as the training takes half of it, so that a single epoch is possible too. */
function withWarmupThatEnds(schedule: Schedule, epochs: number): Schedule {
  if (schedule.kind === 'one-cycle' || schedule.warmupEpochs < epochs) return schedule;
  const half = epochs / 2;
  return { ...schedule, warmupEpochs: schedule.per === 'epoch' ? Math.floor(half) : half };
}

/** What is trained when. Throws a {@link GhostkitError} for settings that contradict each other. */
export function stagesOf(config: TrainConfig, model: Network, stepsPerEpoch: number): Stage[] {
  checkParts(config, stepsPerEpoch);
  const { epochs, optimizer, schedule, clipNorm, emaDecay, finetune, accumulate, threads } = config;
  const headEpochs = finetune?.headEpochs ?? 0;
  const common = {
    optimizer: optimizerOf(config),
    decays: (_: string, shape: readonly number[]) => optimizer.decayNormAndBias || shape.length > 1,
    ...(clipNorm !== null && { clipNorm }),
    accumulate,
    threads,
  };
  const rest = epochs - headEpochs;
  const updates = (rest * stepsPerEpoch) / accumulate;
  const mostDecay = 1 - 1 / Math.max(2, AVERAGED_SHARE * updates);
  const all: Stage = {
    name: 'all',
    from: headEpochs,
    to: epochs,
    step: {
      ...common,
      ...(emaDecay !== null && { averageDecay: Math.min(emaDecay, mostDecay) }),
      ...(finetune && finetune.layerDecay < 1 && { rateOf: layerRates(model, finetune.layerDecay) }),
    },
    rate: learningRate(optimizer.lr, withWarmupThatEnds(schedule, rest), { epochs: rest, stepsPerEpoch }),
  };
  if (!finetune || headEpochs === 0) return [all];
  const head: Stage = {
    name: 'head',
    from: 0,
    to: headEpochs,
    // The features are those that the weights came with: their statistics are not moved by pictures that they have not learnt from.
    step: { ...common, trains: headOf(model), statistics: 'running' },
    rate: learningRate(
      finetune.headLr,
      { kind: 'cosine', per: 'step', minLr: 0, warmupEpochs: 0, warmupLr: 0, warmupFirst: false },
      { epochs: headEpochs, stepsPerEpoch },
    ),
  };
  return [head, all];
}
