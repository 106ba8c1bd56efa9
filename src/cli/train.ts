import { type CommandFactory, command } from './command.js';
import { UsageError } from './errors.js';
import type { Io } from './output.js';
import {
  addTrainingOptions,
  configOf,
  runTraining,
  settingsOfOptions,
  type TrainingOptions,
} from './training-options.js';

async function trainOn(io: Io, data: string | undefined, options: TrainingOptions): Promise<number> {
  const asked = await settingsOfOptions(data, options);
  const config = await configOf(io, asked, options.recipe, async () => ({}));
  if (config.data === null) throw new UsageError('name the folder or tar file with the pictures');
  return runTraining(io, config, options);
}

export const trainCommand: CommandFactory = (io, exit) =>
  addTrainingOptions(
    command('train', 'train a network on pictures in a folder for each class', [
      'train pictures -o runs/first',
      'train pictures -o runs/first --resume',
      'train tiny-imagenet-200 --recipe tiny-imagenet --set optimizer.lr=0.1 -o runs/tiny',
    ])
      .argument('[data]', 'a folder or tar file with a folder for each class, Tiny-ImageNet or CIFAR-10')
      .option('--model <name>', 'the network; ghostkit models lists them'),
  ).action(async (data: string | undefined, options: TrainingOptions) => exit(await trainOn(io, data, options)));
