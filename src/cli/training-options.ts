import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { readBytes } from '../formats/files.js';
import { printable } from '../formats/text.js';
import { withPath } from '../formats/with-path.js';
import { readTrainingCheckpoint } from '../train/checkpoint.js';
import type { TrainConfig } from '../train/config.js';
import { DEFAULTS } from '../train/recipes.js';
import {
  checkConfig,
  findRecipe,
  mergeSettings,
  parseConfig,
  parseSettings,
  resolveConfig,
} from '../train/resolve-config.js';
import { RunFolder } from '../train/run-folder.js';
import { type TrainResult, train } from '../train/trainer.js';
import { type CommonOptions, decimal, positiveInteger, wholeNumber } from './command.js';
import { UsageError } from './errors.js';
import { interruptible } from './interrupt.js';
import { entryFor } from './model-names.js';
import { formatPercent, type Io, printJson, writeLine } from './output.js';
import { outlivingOutput } from './streams.js';
import { trainingView } from './training-view.js';

type Json = Record<string, unknown>;

/** The options that `train` and `finetune` have in common. */
export interface TrainingOptions extends CommonOptions {
  recipe?: string;
  config?: string;
  set?: string[];
  model?: string;
  epochs?: number;
  batch?: number;
  lr?: number;
  size?: number;
  seed?: number;
  threads?: number;
  workers?: number;
  output?: string;
  resume?: boolean;
}

/** Workers beyond this have nothing to do: the network is slower than they are. */
const MOST_WORKERS = 4;

const collect = (value: string, list: string[] = []) => [...list, value];

export function addTrainingOptions(command: Command): Command {
  return command
    .option('-o, --output <folder>', 'where checkpoints, metrics, the report and the model go (default: runs/train)')
    .option('--resume', 'go on from the last checkpoint in the output folder')
    .option('--recipe <name>', 'settings by name; a wrong one is answered with those there are')
    .option('--config <file>', 'settings as JSON')
    .option('--set <key=value>', 'one setting, as optimizer.lr=0.1; may be repeated', collect)
    .option('--epochs <n>', 'how often every picture is seen', positiveInteger)
    .option('--batch <n>', 'pictures in a step', positiveInteger)
    .option('--lr <rate>', 'the highest learning rate', decimal)
    .option('--size <pixels>', 'side of the square that the network sees', positiveInteger)
    .option('--seed <n>', 'what everything random is drawn from', wholeNumber)
    .option('--threads <n>', 'threads of the network (default: one for each core)', positiveInteger)
    .option('--workers <n>', 'threads that decode and augment (default: what the cores allow)', wholeNumber);
}

/** What the machine suggests. */
export function machineSettings(): { threads: number; workers: number } {
  const cores = availableParallelism();
  return { threads: Math.min(cores, 64), workers: Math.max(1, Math.min(MOST_WORKERS, cores - 1)) };
}

const given = (settings: Json): Json => Object.fromEntries(Object.entries(settings).filter(([, v]) => v !== undefined));

function flagsOf(data: string | undefined, options: TrainingOptions): Json {
  const { epochs, batch, lr, size, seed, threads, workers, output, resume, model } = options;
  if (lr !== undefined && !(lr > 0)) throw new UsageError('--lr: a positive number');
  const flags = given({
    ...{ data, epochs, batchSize: batch, inputSize: size, seed, threads, workers, output, resume },
    model: model === undefined ? undefined : entryFor(model).name,
  });
  // The rate last: an optimizer that is set as a whole would take it away.
  const settings = mergeSettings(flags, parseSettings(options.set ?? []));
  return lr === undefined ? settings : mergeSettings(settings, { optimizer: { lr } });
}

/** What is asked for beside the defaults: of the file, then of the flags. */
export async function settingsOfOptions(data: string | undefined, options: TrainingOptions): Promise<Json[]> {
  const file = options.config === undefined ? undefined : await configFile(options.config);
  return [...(file ? [file] : []), flagsOf(data, options)];
}

async function configFile(path: string): Promise<Json> {
  const text = new TextDecoder().decode(await readBytes(path, 'texts'));
  return withPath(path, () => parseConfig(text));
}

/**
 * The whole configuration: that of the checkpoint where one is resumed, else the defaults, a recipe and `base`; under what is asked for
 * now in any case.
 */
export async function configOf(
  io: Io,
  asked: readonly Json[],
  recipe: string | undefined,
  base: () => Promise<Json>,
): Promise<TrainConfig> {
  const { resume, output = DEFAULTS.output } = asked.reduce<Json>(mergeSettings, {});
  if (resume && typeof output === 'string') {
    if (recipe !== undefined) findRecipe(recipe);
    const checkpoint = await readTrainingCheckpoint(join(output, 'last.safetensors'));
    // What the recipe says is in it already, under whatever else was asked for then; only its name is compared.
    if (checkpoint) {
      const again = recipe === undefined ? asked : [...asked, { recipe }];
      return checkConfig(again.reduce<Json>(mergeSettings, checkpoint.progress.config));
    }
  }
  const config = resolveConfig([machineSettings(), await base(), ...asked], recipe);
  if (resume) {
    const folder = printable(String(output), 200);
    if (config.data === null)
      throw new UsageError(
        `${folder}: there is no checkpoint to go on from; to begin, name the folder or tar file with the pictures`,
      );
    await new RunFolder(config.output).checkUnused();
    writeLine(io.err, `${folder}: there is no checkpoint yet; the training begins anew`);
  }
  return config;
}

function summary({ folder, best, finished, epochs }: TrainResult, total: number): string[] {
  const { path } = folder;
  if (!finished)
    return [`stopped in epoch ${Math.min(epochs + 1, total)} of ${total}; --resume -o ${path} goes on from here`];
  const accuracy = best ? `${formatPercent(best.top1)} top-1 in epoch ${best.epoch + 1}` : '';
  const whose = best?.which === 'average' ? ' (averaged weights)' : '';
  return [
    `best: ${accuracy}${whose}`,
    `report: ${folder.report}`,
    `model: ${folder.model}; try ghostkit predict --weights ${folder.model} PICTURE`,
  ];
}

/** Trains, shows it, and returns the exit code. */
export async function runTraining(io: Io, config: TrainConfig, { json = false }: CommonOptions): Promise<number> {
  const view = trainingView(io, config.epochs, json);
  const folder = new RunFolder(config.output);
  // Hours of work are not lost with the terminal, or with a `| head`: what is shown stands in files too.
  const unheard = (reason: string) =>
    writeLine(
      io.err,
      `warning: cannot write to the standard output (${reason}); the training goes on, see ${folder.metricsFile}`,
    );
  const trained = async (signal: AbortSignal) => {
    try {
      const result = await train(config, { signal, observer: view });
      if (!json) for (const line of summary(result, config.epochs)) writeLine(io.out, line);
      return result;
    } finally {
      view.end();
    }
  };
  const { result, code } = await outlivingOutput(unheard, () => interruptible(trained));
  const { finished, epochs, best, metrics, unreadable } = result;
  if (json) {
    printJson(io, {
      ...{ finished, model: config.model, epochs, best, folder: folder.path },
      ...(finished && { weights: folder.model, report: folder.report }),
      ...{ unreadable, metrics },
    });
  }
  // Stopped by Ctrl-C behind the last step, it is finished all the same.
  return finished ? 0 : (code ?? 1);
}
