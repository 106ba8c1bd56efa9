import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Option } from 'commander';
import { BACKENDS, type Backend } from '../headswap/backends.js';
import { checkFits, type PictureFormat, pictureFormat, pictureInfo } from '../headswap/picture-file.js';
import { STAGES, type Stage, type SwapResult, swapHead } from '../headswap/pipeline.js';
import { stageFolder, swapProvenance, writeSwap } from '../headswap/swap-file.js';
import { cacheFolder } from '../hub/folders.js';
import { type CommandFactory, type CommonOptions, command, positiveInteger } from './command.js';
import { requireConsent } from './consent.js';
import { UsageError } from './errors.js';
import { formatMs, formatTable, type Io, printJson, styleFor, writeLine } from './output.js';
import { checkOutput } from './output-file.js';

interface SwapCliOptions extends CommonOptions {
  source: string;
  target: string;
  output: string;
  weights?: string;
  face?: number;
  sourceFace?: number;
  backend: Backend;
  threads: number;
  stages?: string;
  paste: 'head' | 'crop';
  consent?: boolean;
}

/** What a stage does, for whoever waits for it. */
const DOING: Readonly<Record<Stage, string>> = {
  detect: 'looking for the faces',
  crop: 'cutting the heads out',
  mask: 'telling the heads from the background',
  align: "drawing the source's head in the target's pose",
  parse: 'naming the parts of both heads',
  background: 'clearing the target',
  blend: "giving the head the target's colours",
  inpaint: 'filling the gaps',
  paste: 'putting the head back',
};

const CLEAR_LINE = '\r\x1b[K';

/** The stage that is being worked at, on one line of a terminal. A stage does not return to the event loop, so nothing moves. */
function stageLine({ err }: Io): { show(stage: Stage, index: number, count: number): void; clear(): void } {
  return {
    show(stage, index, count) {
      if (err.isTTY) err.write(`${CLEAR_LINE}${index + 1}/${count} ${DOING[stage]} ...`);
    },
    clear() {
      if (err.isTTY) err.write(CLEAR_LINE);
    },
  };
}

/** The format that the output's name asks for. */
function formatOf({ output }: SwapCliOptions): PictureFormat {
  try {
    return pictureFormat(output);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function show(io: Io, { timings, plugins, image }: SwapResult, output: string): void {
  const rows = STAGES.map((stage) => [stage, formatMs(timings[stage]), plugins[stage] ?? '']);
  const total = Object.values(timings).reduce((sum, ms) => sum + ms, 0);
  rows.push(['all', formatMs(total), '']);
  const columns = [{ title: 'stage' }, { title: 'time', align: 'right' } as const, { title: 'with' }];
  io.out.write(formatTable(columns, rows, styleFor(io.out)));
  io.out.write('\n');
  writeLine(io.out, `${output}: ${image.width} x ${image.height} pixels, marked as made with a trained model`);
}

async function swap(io: Io, options: SwapCliOptions): Promise<void> {
  const { output, json, stages, consent, source, target, weights = join(cacheFolder(), 'weights') } = options;
  const format = formatOf(options);
  // Minutes of work would be lost at the end.
  await checkOutput(output, [source, target]);
  await requireConsent(io, consent);
  checkFits(await pictureInfo(target), format);
  const line = stageLine(io);
  let result: SwapResult;
  try {
    result = await swapHead({
      ...options,
      weights,
      stages: stages === undefined ? undefined : await stageFolder(stages, [source, target]),
      onProgress: line.show,
    });
  } finally {
    line.clear();
  }
  await writeSwap(output, result);
  const { timings, plugins, notes, faces, image } = result;
  if (json) {
    const { width, height } = image;
    const provenance = swapProvenance();
    printJson(io, { path: output, width, height, weights, timings, plugins, notes, faces, provenance });
    return;
  }
  for (const note of notes) writeLine(io.err, `note: ${note}`);
  show(io, result, output);
}

export const swapCommand: CommandFactory = (io) =>
  command('swap', "put one person's head on another person's picture", [
    'swap --source anna.jpg --target bea.jpg -o anna-as-bea.png',
    'swap --source anna.jpg --target group.jpg --face 2 -o out.png --stages stages/',
    'swap --source anna.jpg --target bea.jpg -o noise.png --weights from-names --consent',
  ])
    .requiredOption('--source <picture>', 'whose head')
    .requiredOption('--target <picture>', 'who gets it')
    .requiredOption('-o, --output <file>', 'the picture to write: .png, .jpg or .webp')
    .option('--weights <dir>', 'the folder of the official weights, or from-names to try without (default: the cache)')
    .option('--face <n>', 'which face of the target, when there are several', positiveInteger)
    .option('--source-face <n>', 'which face of the source', positiveInteger)
    .addOption(new Option('--backend <name>', 'what runs the networks').choices(BACKENDS).default('ghostkit'))
    .option('--threads <n>', 'threads that share the work', positiveInteger, Math.min(8, availableParallelism()))
    .option('--stages <dir>', 'write what each stage makes into a folder, as pictures')
    .addOption(
      new Option('--paste <region>', 'put back the head alone, or the square around it as the original does')
        .choices(['head', 'crop'])
        .default('head'),
    )
    .option('--consent', 'everyone in both pictures has agreed to this')
    .action((options: SwapCliOptions) => swap(io, options));
