import { existsSync } from 'node:fs';
import { Option } from 'commander';
import { openClassifier } from '../classify/classifier-file.js';
import type { PreparationOptions } from '../classify/preparation.js';
import { fewAtOnce } from '../data/few-at-once.js';
import { loadImage } from '../data/image.js';
import { haveProbabilities, NO_PROBABILITIES } from '../data/scores.js';
import { topClasses } from '../data/top-classes.js';
import { type Preprocessing, toTensor } from '../data/transform.js';
import { printable } from '../formats/text.js';
import { imagenetLabels, requireCached } from '../hub/cache.js';
import { WEIGHTS } from '../hub/manifest.js';
import { SHIPPED_WEIGHTS } from '../hub/shipped.js';
import type { Runner } from '../runtime/runner.js';
import { GhostkitError } from '../tensor/error.js';
import { type BackendOptions, providersOf, withBackend } from './backend.js';
import { type CommandFactory, type CommonOptions, command, positiveInteger, preferOption } from './command.js';
import { UsageError } from './errors.js';
import { readLabels } from './labels.js';
import { entryFor, isModelName } from './model-names.js';
import { formatPercent, formatTable, type Io, printJson, styleFor, writeLine } from './output.js';
import { expandPictures, type Picture } from './pictures.js';
import { withPreparation } from './preparation.js';
import { progress } from './progress.js';

interface PredictOptions extends CommonOptions, BackendOptions, PreparationOptions {
  weights?: string;
  labels?: string;
  top: number;
  threads: number;
  size?: number;
  interpolation?: Preprocessing['interpolation'];
  batch: number;
  prefer?: 'ema' | 'model';
}

interface Guess {
  readonly class: number;
  readonly label?: string;
  readonly probability: number;
}

interface Prediction {
  readonly path: string;
  readonly top?: readonly Guess[];
  readonly error?: string;
}

/** Whether an argument that is no model's name was meant as a picture rather than as a name. */
const isPicture = (argument: string) => existsSync(argument) || /[/\\*?[{]|\.[a-z]\w+$/i.test(argument);

/** `predict pictures…` or `predict MODEL pictures…`: the first argument may be either. */
function splitArguments(args: readonly string[]): { name?: string; pictures: string[] } {
  const [first, ...others] = args;
  if (!isModelName(first) && isPicture(first)) return { pictures: [...args] };
  const { name } = entryFor(first);
  if (others.length === 0) throw new UsageError('no picture is given');
  return { name, pictures: others };
}

/** The path of a network's published weights. Throws an error with the command that gets them. */
async function cachedWeights(name: string): Promise<string> {
  if (!WEIGHTS.some((entry) => entry.name === name)) {
    throw new GhostkitError(`${name}: no weights are published for it; give a checkpoint with --weights FILE`);
  }
  return requireCached(name);
}

function best(logits: Float32Array, count: number, labels: readonly string[] | undefined): Guess[] | undefined {
  if (!haveProbabilities(logits)) return undefined;
  return topClasses(logits, count, labels).map(({ index, ...guess }) => ({ class: index, ...guess }));
}

/** A picture as the network sees it: as it was decoded it would take many times the memory. */
type Loaded = Picture & { readonly input?: Float32Array };

async function load({ path, error }: Picture, preprocessing: Preprocessing): Promise<Loaded> {
  if (error) return { path, error };
  try {
    return { path, input: toTensor(await loadImage(path), preprocessing).data };
  } catch (reason) {
    if (!(reason instanceof GhostkitError)) throw reason;
    return { path, error: reason.message };
  }
}

async function loadAll(pictures: readonly Picture[], preprocessing: Preprocessing): Promise<Loaded[]> {
  const loaded: Loaded[] = [];
  await fewAtOnce(pictures.length, async (i) => {
    loaded[i] = await load(pictures[i], preprocessing);
  });
  return loaded;
}

/** Predicts one picture after another, `batch` at a time, while the next ones are being read. */
async function* predictions(
  net: Runner,
  pictures: readonly Picture[],
  preprocessing: Preprocessing,
  batch: number,
  describe: (logits: Float32Array) => Guess[] | undefined,
): AsyncGenerator<Prediction> {
  const groups = Array.from({ length: Math.ceil(pictures.length / batch) }, (_, i) =>
    pictures.slice(i * batch, (i + 1) * batch),
  );
  const start = (i: number) => loadAll(groups[i] ?? [], preprocessing);
  let next = start(0);
  for (const i of groups.keys()) {
    const group = await next;
    next = start(i + 1);
    const inputs = group.flatMap(({ input }) => (input ? [input] : []));
    let rows: Float32Array[] = [];
    if (inputs.length > 0) {
      // What a short group leaves empty is computed and not read.
      const image = new Float32Array(batch * 3 * preprocessing.size ** 2);
      for (const [n, input] of inputs.entries()) image.set(input, n * input.length);
      const { data, shape } = (await net.run({ image })).logits;
      rows = inputs.map((_, n) => data.subarray(n * shape[1], (n + 1) * shape[1]));
    }
    for (const { path, input, error } of group) {
      const logits = input && rows.shift();
      const top = logits && describe(logits);
      if (top) yield { path, top };
      else yield { path, error: error ?? `${path}: ${NO_PROBABILITIES}` };
    }
  }
}

/** Above their guesses for several, and without for one: a picture's name. */
function show(io: Io, { path, top = [] }: Prediction, several: boolean): void {
  const style = styleFor(io.out);
  const name = ({ class: i, label }: Guess) => (label === undefined ? `class ${i}` : printable(label));
  if (top.length === 1) {
    writeLine(io.out, `${several ? `${path}  ` : ''}${name(top[0])}  ${formatPercent(top[0].probability)}`);
    return;
  }
  if (several) io.out.write(`${style('bold', printable(path, 500))}\n`);
  const rows = top.map((guess) => [formatPercent(guess.probability), name(guess)]);
  const table = formatTable([{ title: '', align: 'right' }, { title: '' }], rows);
  io.out.write(several ? `${table.replace(/^/gm, '  ').trimEnd()}\n` : table);
}

async function predict(io: Io, args: readonly string[], options: PredictOptions): Promise<number> {
  const { name, pictures: given } = splitArguments(args);
  const weights = options.weights ?? (name === undefined ? SHIPPED_WEIGHTS : await cachedWeights(name));
  const source = await openClassifier(weights, { ...options, name, providers: providersOf(options) });
  const { numClasses, inChannels, preprocessing } = source;
  if (inChannels !== 3) {
    throw new GhostkitError(`${weights}: the model takes ${inChannels} channels, pictures have 3`);
  }
  const labels = options.labels
    ? await readLabels(options.labels, numClasses)
    : (source.labels ?? (options.weights ? undefined : await imagenetLabels()));
  const pictures = await expandPictures(given);
  const batch = source.batch ?? Math.min(options.batch, pictures.length);
  const net = await source.compile({ batch, threads: options.threads });
  const results: Prediction[] = [];
  const bar = progress(io.err, 'pictures', pictures.length);
  const describe = (logits: Float32Array) => best(logits, options.top, labels);
  for await (const prediction of predictions(net, pictures, preprocessing, batch, describe)) {
    results.push(prediction);
    bar.clear();
    if (prediction.error) writeLine(io.err, `error: ${prediction.error}`);
    else if (!options.json) show(io, prediction, pictures.length > 1);
    bar.update(results.length);
  }
  bar.clear();
  await net.close();
  // Weights run in deploy form, a compiled model in that which it was compiled in.
  const form = source.batch === undefined ? 'deploy' : source.form;
  if (options.json) printJson(io, { model: source.title, form, preprocessing, predictions: results });
  return results.some(({ error }) => error) ? 1 : 0;
}

export const predictCommand: CommandFactory = (io, exit) =>
  withPreparation(
    withBackend(
      command('predict', 'tell what is on pictures', [
        'predict cat.jpg',
        'predict --weights repghostnet.safetensors cat.jpg',
        "predict --weights ghostnet.pth --labels imagenet.txt 'photos/*.jpg'",
        'predict --weights mobilenet.onnx --backend onnx --providers cuda,cpu cat.jpg',
      ]),
    ),
  )
    .argument('<model-or-picture...>', 'a network, unless its weights tell; then pictures: files, globs, folders')
    .option(
      '--weights <file>',
      'a checkpoint (safetensors, or what torch.save wrote), an ONNX file or a compiled model (default: those that come with ghostkit; of a named network the published ones)',
    )
    .option('--labels <file>', 'names of the classes: one a line, or a JSON array or object')
    .option('--top <k>', 'how many classes to show', positiveInteger, 5)
    .option('--threads <n>', 'threads that share the work', positiveInteger, 1)
    .option(
      '--size <pixels>',
      'side of the square that the network sees (default: as it was trained, else 224)',
      positiveInteger,
    )
    .addOption(
      new Option(
        '--interpolation <kind>',
        "how pictures are resized (default: as it was trained, else as in the network's paper)",
      ).choices(['bilinear', 'bicubic']),
    )
    .option('--batch <n>', 'pictures that are computed together', positiveInteger, 1)
    .addOption(preferOption())
    .action(async (args: string[], options: PredictOptions) => exit(await predict(io, args, options)));
