import { Option } from 'commander';
import { openClassifier } from '../classify/classifier-file.js';
import type { PreparationOptions } from '../classify/preparation.js';
import type { Dataset } from '../data/dataset.js';
import { createLoader, type Loader } from '../data/loader/loader.js';
import { openDataset } from '../data/open-dataset.js';
import type { Preprocessing } from '../data/transform.js';
import { printable } from '../formats/text.js';
import { SHIPPED_WEIGHTS } from '../hub/shipped.js';
import type { Form } from '../models/identify.js';
import { GhostkitError } from '../tensor/error.js';
import { EVALUATION_BATCH, evaluate } from '../train/evaluate.js';
import type { Evaluation } from '../train/metrics.js';
import { type BackendOptions, providersOf, withBackend } from './backend.js';
import {
  type CommandFactory,
  type CommonOptions,
  command,
  positiveInteger,
  preferOption,
  wholeNumber,
} from './command.js';
import { entryFor } from './model-names.js';
import { formatPairs, formatPercent, formatTable, type Io, printJson, styleFor } from './output.js';
import { withPreparation } from './preparation.js';
import { progress } from './progress.js';
import { machineSettings } from './training-options.js';
import { reportSkippedLinks, reportUnreadable } from './training-view.js';

/** Classes that a person is shown before the rest takes `--all`. */
const SHOWN_CLASSES = 10;

interface EvalOptions extends CommonOptions, BackendOptions, PreparationOptions {
  weights: string;
  model?: string;
  form?: Form;
  batch: number;
  size?: number;
  interpolation?: Preprocessing['interpolation'];
  threads?: number;
  workers?: number;
  all?: boolean;
  prefer?: 'ema' | 'model';
}

/** Classes that a message names. */
const NAMED = 3;

const WORDNET = /^n\d{8}$/;

/**
 * For each class of a data set its number in the model: by name where the model has them all; in order where it has no names, or the data has
 * WordNet's numbers for them, as ImageNet's folders are called.
 */
export function matchClasses(
  classes: readonly string[],
  labels: readonly string[] | undefined,
  count: number,
): Int32Array | undefined {
  const isSame = labels && classes.length === labels.length && classes.every((name, i) => name === labels[i]);
  if (isSame) return undefined;
  const numbers = classes.map((name) => labels?.indexOf(name) ?? -1);
  if (numbers.every((number) => number >= 0)) return Int32Array.from(numbers);
  const missing = classes.filter((_, i) => numbers[i] < 0);
  const inOrder = labels === undefined || classes.every((name) => WORDNET.test(name));
  if (classes.length === count && missing.length === count && inOrder) return undefined;
  const what = labels
    ? `the model does not know ${missing
        .slice(0, NAMED)
        .map((name) => printable(name))
        .join(', ')}${missing.length > NAMED ? ` and ${missing.length - NAMED} more` : ''}`
    : '';
  throw new GhostkitError(
    classes.length === count && what
      ? `${what}; the folders of the data need the names of its classes`
      : `the data has ${classes.length} classes, the model ${count}${what ? `; ${what}` : ' without names'}`,
  );
}

/** Throws a {@link GhostkitError} where there is no accuracy to tell: a network of NaN is right about nothing, and now and then by chance. */
export function checkNumbers(name: string, { count, withoutNumbers }: Evaluation): void {
  if (withoutNumbers === 0) return;
  throw new GhostkitError(
    `${name}: the network gives no numbers (NaN or infinity) for ${withoutNumbers} of ${count} pictures; its weights may be damaged`,
  );
}

interface ClassRow {
  readonly class: number;
  readonly label?: string;
  readonly count: number;
  readonly correct: number;
  readonly guessed: number;
}

/** The classes that there were pictures of, the hardest first. */
function classRows(evaluation: Evaluation, labels: readonly string[] | undefined): ClassRow[] {
  return evaluation.confusion
    .perClass()
    .map((row, i) => ({ class: i, ...(labels && { label: labels[i] }), ...row }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => a.correct / a.count - b.correct / b.count || a.class - b.class);
}

/** The model's names for its classes, else the data's where they are in the same order. */
const namesOf = (labels: readonly string[] | undefined, { classes }: Dataset, count: number) =>
  labels ?? (classes.length === count ? classes : undefined);

function show(io: Io, rows: readonly ClassRow[], pairs: [string, string][], all: boolean): void {
  const style = styleFor(io.out);
  io.out.write(formatPairs(pairs, style));
  const shown = all ? rows : rows.slice(0, SHOWN_CLASSES);
  const right = (title: string) => ({ title, align: 'right' }) as const;
  const columns = [{ title: 'class' }, right('pictures'), right('recognised'), right('right when guessed')];
  const lines = shown.map(({ class: i, label, count, correct, guessed }) => [
    label === undefined ? `class ${i}` : printable(label, 60),
    String(count),
    formatPercent(correct / count),
    guessed > 0 ? formatPercent(correct / guessed) : '',
  ]);
  io.out.write(`\n${formatTable(columns, lines, style)}`);
  const rest = rows.length - shown.length;
  if (rest > 0) io.out.write(`${style('dim', `the hardest; --all shows ${rest} more`)}\n`);
}

async function evaluateOn(io: Io, data: string, options: EvalOptions): Promise<void> {
  const source = await openClassifier(options.weights, {
    ...options,
    name: options.model && entryFor(options.model).name,
    providers: providersOf(options),
  });
  const { labels, preprocessing, numClasses } = source;
  const form = options.form ?? (source.batch === undefined ? 'deploy' : source.form);
  if (form !== source.form && (form === 'training' || source.batch !== undefined)) {
    throw new GhostkitError(
      form === 'training'
        ? `${options.weights}: these weights are in deploy form, and there is no way back`
        : `${options.weights}: this model was compiled in training form; convert again`,
    );
  }
  const { train, val, skippedLinks } = await openDataset(data);
  reportSkippedLinks(io, skippedLinks);
  const dataset = val ?? train;
  const classOf = matchClasses(dataset.classes, labels, numClasses);
  const machine = machineSettings();
  const { threads = machine.threads, workers = machine.workers } = options;
  const batch = source.batch ?? Math.min(options.batch, dataset.length);
  const began = performance.now();
  const net = await source.compile({ batch, threads, form });
  const bar = progress(io.err, 'pictures', dataset.length);
  let loader: Loader | undefined;
  let evaluation: Evaluation | undefined;
  try {
    loader = await createLoader(dataset, { batchSize: batch, preprocessing, mode: 'eval', workers });
    evaluation = await evaluate(net, loader, { classOf, onProgress: (done) => bar.update(done) });
  } finally {
    bar.clear();
    await net.close();
    await loader?.close();
  }
  if (!evaluation) return;
  checkNumbers(options.weights, evaluation);
  const seconds = (performance.now() - began) / 1000;
  const { top1, top5, meanLoss: loss, count } = evaluation;
  const rows = classRows(evaluation, namesOf(labels, dataset, numClasses));
  const { unreadable } = loader;
  const pictures = val ? 'validation' : 'all';
  if (options.json) {
    printJson(io, {
      ...{ model: source.title, form, pictures: count, of: pictures, top1, top5, loss, seconds },
      ...{ imagesPerSecond: count / seconds, preprocessing, perClass: rows, unreadable },
    });
    return;
  }
  reportUnreadable(io, unreadable);
  const pairs: [string, string][] = [
    ['model', `${source.title}, ${form} form`],
    ['pictures', `${count} of ${dataset.classes.length} classes${val ? ', for validation' : ', all there are'}`],
    ['top-1', formatPercent2(top1)],
    ...(numClasses > 5 ? [['top-5', formatPercent2(top5)] as [string, string]] : []),
    ['loss', loss.toFixed(4)],
    ['speed', `${Math.round(count / seconds)} pictures/s, ${seconds.toFixed(1)} s in all`],
  ];
  show(io, rows, pairs, options.all ?? false);
}

const formatPercent2 = (share: number) => `${(share * 100).toFixed(2)} %`;

export const evalCommand: CommandFactory = (io) =>
  withPreparation(
    withBackend(
      command('eval', 'measure how often a network is right', [
        'eval tiny-imagenet-200',
        'eval pictures --weights runs/first/model.safetensors',
        'eval imagenet/val --weights repghostnet.pth.tar --json',
        'eval tiny-imagenet-200 --weights model.safetensors --form training',
        'eval imagenet/val --weights mobilenet.onnx --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5',
      ]),
    ),
  )
    .argument('<data>', 'a folder or tar file with a folder for each class, Tiny-ImageNet or CIFAR-10')
    .addOption(
      new Option(
        '--weights <file>',
        'a checkpoint (safetensors, or what torch.save wrote), an ONNX file or a compiled model',
      ).default(SHIPPED_WEIGHTS, 'those that come with ghostkit'),
    )
    .option('--model <name>', 'the network, where its weights do not tell')
    .addOption(new Option('--form <form>', 'what to run (default: deploy)').choices(['deploy', 'training']))
    .option('--size <pixels>', 'side of the square that the network sees (default: as it was trained)', positiveInteger)
    .addOption(
      new Option('--interpolation <kind>', 'how pictures are resized (default: as it was trained)').choices([
        'bilinear',
        'bicubic',
      ]),
    )
    .option('--batch <n>', 'pictures that are computed together', positiveInteger, EVALUATION_BATCH)
    .option('--threads <n>', 'threads of the network (default: one for each core)', positiveInteger)
    .option('--workers <n>', 'threads that decode (default: what the cores allow)', wholeNumber)
    .option('--all', 'show every class')
    .addOption(preferOption())
    .action((data: string, options: EvalOptions) => evaluateOn(io, data, options));
