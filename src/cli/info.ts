import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { compiledHeaderOf } from '../classify/classifier-file.js';
import { isOnnxPath } from '../classify/model-source.js';
import { readCheckpoint } from '../formats/checkpoint-file.js';
import { METADATA } from '../formats/metadata.js';
import { printable } from '../formats/text.js';
import { parameterOp } from '../graph/leaves.js';
import { isOp, topological, type Value } from '../graph/value.js';
import { guessModel, modelFor, titleOf } from '../models/identify.js';
import { createModel, type ModelEntry } from '../models/registry.js';
import { Parameter } from '../nn/module.js';
import { trace } from '../nn/trace.js';
import { sizeOf } from '../tensor/tensor.js';
import { type CommandFactory, type CommonOptions, command, preferOption } from './command.js';
import { infoCompiled } from './info-compiled.js';
import { metadataLines } from './info-metadata.js';
import { infoOnnx } from './info-onnx.js';
import { infoPicture, isPictureFile } from './info-picture.js';
import { entryFor, isModelName } from './model-names.js';
import { sizesOf } from './models.js';
import { formatBytes, formatCount, formatPairs, formatTable, type Io, printJson, styleFor } from './output.js';

const FORMATS = {
  safetensors: 'safetensors',
  'pytorch-zip': 'PyTorch',
  'pytorch-legacy': 'PyTorch, the format before 1.6',
  onnx: 'ONNX',
};

interface InfoOptions extends CommonOptions {
  prefer?: 'ema' | 'model';
}

async function infoFile(io: Io, path: string, { json, prefer }: InfoOptions): Promise<void> {
  if (isOnnxPath(path)) return infoOnnx(io, path, json);
  const compiled = await compiledHeaderOf(path);
  if (compiled) return infoCompiled(io, path, compiled, json);
  const checkpoint = await readCheckpoint(path, { prefer });
  const { state, source, format, storedTypes } = checkpoint;
  // The structure of an imported network is no reading for people.
  const { [METADATA.graph]: graph, ...metadata } = checkpoint.metadata;
  const { size: bytes } = await stat(path);
  const tensors = [...state.values()];
  const dtypes: Record<string, number> = {};
  for (const dtype of storedTypes) dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
  const elements = tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const guess = guessModel(state, metadata);
  const classes = guess && modelFor(guess, state).model.numClasses;
  const form = metadata[METADATA.form] === 'deploy' ? 'deploy' : 'training';
  const imported = graph === undefined ? undefined : { name: metadata[METADATA.model] ?? '', form, imported: true };
  const model = imported ?? (guess && { name: guess.entry.name, ...guess.options, form: guess.form, classes });
  if (json) {
    printJson(io, { path, format, source, bytes, tensors: tensors.length, dtypes, elements, model, metadata });
    return;
  }
  const style = styleFor(io.out);
  const types = Object.entries(dtypes).map(([dtype, count]) => `${count} ${dtype}`);
  const merged = guess?.options.reparam === 'merged' ? ', branches merged' : '';
  const known = guess ? `${titleOf(guess)}, ${guess.form} form${merged}, ${classes} classes` : 'none that is known';
  const lines: [string, string][] = [
    ['format', FORMATS[format]],
    ['size', formatBytes(bytes)],
    ['weights', source === 'root' ? 'the file itself' : source],
    ['tensors', `${tensors.length} (${types.join(', ')}), ${formatCount(elements)} elements`],
    ['model', imported ? `${printable(imported.name)}, from an ONNX file, ${form} form` : known],
  ];
  lines.push(...metadataLines(metadata));
  io.out.write(formatPairs(lines, style));
}

/** Parameters and multiply-accumulates between one stage's output and the next, in order. */
function stagesOf(entry: ModelEntry) {
  const { outputs } = trace(createModel(entry.name), { input: [1, 3, 224, 224], features: true });
  const seen = new Set<Value>();
  return Object.entries(outputs).map(([name, output]) => {
    const own = topological([output]).filter((value) => !seen.has(value));
    for (const value of own) seen.add(value);
    const parameters = own.reduce((sum, value) => {
      const parameter = isOp(value, parameterOp) ? value.attrs.parameter : undefined;
      return parameter instanceof Parameter && parameter.learnable ? sum + sizeOf(parameter.shape) : sum;
    }, 0);
    const macs = own.reduce((sum, value) => sum + (value.op.macs?.(value) ?? 0), 0);
    return { name, output: output.shape.slice(1), parameters, macs };
  });
}

function infoModel(io: Io, name: string, { json }: InfoOptions): void {
  const entry = entryFor(name);
  const stages = stagesOf(entry);
  const { training, deploy } = sizesOf(entry);
  if (json) {
    const { family, width, aliases, paper } = entry;
    printJson(io, { name: entry.name, family, width, aliases, paper, training, deploy, stages });
    return;
  }
  const style = styleFor(io.out);
  const { paper } = entry;
  const accuracy = paper && `${paper.top1} % top-1${paper.top5 ? `, ${paper.top5} % top-5` : ''} on ImageNet`;
  io.out.write(
    formatPairs(
      [
        ['model', entry.name],
        ['also', entry.aliases.join(', ')],
        ['parameters', `${formatCount(training.parameters)}, in deploy form ${formatCount(deploy.parameters)}`],
        ['MACs', `${formatCount(deploy.macs)} for a picture of 224x224`],
        ...(paper && accuracy
          ? ([
              ['paper', accuracy],
              ['', paper.source],
            ] as [string, string][])
          : []),
      ],
      style,
    ),
  );
  const right = (title: string) => ({ title, align: 'right' }) as const;
  const rows = stages.map(({ name, output, parameters, macs }) => [
    name,
    output.join(' x '),
    formatCount(parameters),
    formatCount(macs),
  ]);
  io.out.write('\n');
  io.out.write(formatTable([{ title: 'up to' }, right('output'), right('parameters'), right('MACs')], rows, style));
}

export const infoCommand: CommandFactory = (io) =>
  command('info', 'tell what a file with a network holds, what a network is made of, or how a picture was made', [
    'info repghostnet_1_0x_142M_74.22.pth.tar',
    'info ghostnet_100',
    'info mobilenet.onnx',
    'info swapped.png',
  ])
    .argument('<file-or-model>', 'a checkpoint, an ONNX file, a compiled model, the name of a network, or a picture')
    .addOption(preferOption())
    .action(async (target: string, options: InfoOptions) => {
      if (isPictureFile(target)) return infoPicture(io, target, options.json);
      if (existsSync(target)) return infoFile(io, target, options);
      // What cannot be a name was meant as a file: reading it says that there is none.
      if (!isModelName(target) && /[/\\]|\.\w+$/.test(target)) return infoFile(io, target, options);
      return infoModel(io, target, options);
    });
