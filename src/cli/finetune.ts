import { preprocessingFor } from '../classify/model-source.js';
import { SHIPPED_WEIGHTS } from '../hub/shipped.js';
import { GhostkitError } from '../tensor/error.js';
import { readTrainable, settingsOf } from '../train/training-model.js';
import { type CommandFactory, command, wholeNumber } from './command.js';
import { UsageError } from './errors.js';
import { entryFor } from './model-names.js';
import type { Io } from './output.js';
import {
  addTrainingOptions,
  configOf,
  runTraining,
  settingsOfOptions,
  type TrainingOptions,
} from './training-options.js';

interface FinetuneOptions extends TrainingOptions {
  weights?: string;
  headEpochs?: number;
}

/** The weights that a file of settings or `--set` names. */
function weightsIn(asked: readonly Record<string, unknown>[]): string | undefined {
  const named = asked.map(({ finetune }) => (finetune as { weights?: unknown } | null | undefined)?.weights);
  return named.findLast((weights) => typeof weights === 'string');
}

async function finetune(io: Io, data: string | undefined, options: FinetuneOptions): Promise<number> {
  const { headEpochs } = options;
  const asked = await settingsOfOptions(data, options);
  const tuning = {
    ...(options.weights !== undefined && { weights: options.weights }),
    ...(headEpochs !== undefined && { headEpochs }),
  };
  // Over a file of settings, under `--set`, which stands in the last.
  const withTuning = asked.toSpliced(-1, 0, ...(Object.keys(tuning).length > 0 ? [{ finetune: tuning }] : []));
  const weights = weightsIn(withTuning) ?? SHIPPED_WEIGHTS;
  const config = await configOf(io, withTuning, options.recipe, async () => {
    const loaded = await readTrainable(weights, options.model && entryFor(options.model).name);
    return { recipe: 'finetune', ...settingsOf(loaded, preprocessingFor(loaded, {})), finetune: { weights } };
  });
  if (config.data === null) throw new UsageError('name the folder or tar file with the pictures');
  if (!config.finetune)
    throw new GhostkitError(`${config.output}: this training was not begun from weights; resume it with train`);
  return runTraining(io, config, options);
}

export const finetuneCommand: CommandFactory = (io, exit) =>
  addTrainingOptions(
    command('finetune', 'train weights that are there for other classes', [
      'finetune flowers -o runs/flowers',
      'finetune flowers --weights model.safetensors -o runs/flowers',
      'finetune flowers --weights model.safetensors --head-epochs 5 --set finetune.layerDecay=0.7 -o runs/flowers',
    ])
      .argument('[data]', 'a folder or tar file with a folder for each class, or CIFAR-10')
      .option(
        '--weights <file>',
        'the weights to start from: safetensors, or what torch.save wrote (default: those that come with ghostkit)',
      )
      .option('--model <name>', 'the network, where its weights do not tell')
      .option('--head-epochs <n>', 'epochs at first in which only the new classifier learns', wholeNumber),
  ).action(async (data: string | undefined, options: FinetuneOptions) => exit(await finetune(io, data, options)));
