import { writeFileAtomic } from '../formats/atomic.js';
import { writeSafetensors } from '../formats/safetensors.js';
import { DeployedClassifier } from '../models/deployed.js';
import { type LoadedModel, metadataOf, titleOf } from '../models/identify.js';
import { GhostkitError } from '../tensor/error.js';
import { type CommandFactory, type CommonOptions, command, preferOption } from './command.js';
import { UsageError } from './errors.js';
import { readLabels } from './labels.js';
import { openCheckpoint } from './model-source.js';
import { formatBytes, type Io, printJson } from './output.js';

interface ConvertOptions extends CommonOptions {
  model?: string;
  deploy?: boolean;
  half?: boolean;
  labels?: string;
  prefer?: 'ema' | 'model';
}

/** The same network in deploy form. */
function deployed(loaded: LoadedModel): LoadedModel {
  return loaded.form === 'deploy' ? loaded : { ...loaded, form: 'deploy', model: new DeployedClassifier(loaded.model) };
}

async function convert(io: Io, input: string, output: string, options: ConvertOptions): Promise<void> {
  if (!output.endsWith('.safetensors'))
    throw new UsageError(`${output}: the name of the output must end in .safetensors`);
  const { checkpoint, loaded } = await openCheckpoint(input, { name: options.model, prefer: options.prefer });
  if (!loaded && (options.deploy || options.labels)) {
    throw new GhostkitError(`${input}: these are not the weights of a known network, so ghostkit can only copy them`);
  }
  const labels = options.labels && loaded ? await readLabels(options.labels, loaded.model.numClasses) : loaded?.labels;
  const result = loaded && { ...(options.deploy ? deployed(loaded) : loaded), labels };
  const state = result?.form === 'deploy' ? result.model.state() : checkpoint.state;
  const metadata = { ...checkpoint.metadata, ...(result && metadataOf(result)) };
  const floats = options.half ? 'float16' : 'float32';
  const bytes = writeSafetensors(state, { metadata, floats });
  await writeFileAtomic(output, bytes);
  if (options.json) {
    const model = result && { name: result.entry.name, ...result.options, form: result.form };
    printJson(io, { path: output, bytes: bytes.length, tensors: state.size, floats, source: checkpoint.source, model });
    return;
  }
  const what = result ? `${titleOf(result)}, ${result.form} form` : 'not a known network';
  io.out.write(`${output}: ${what}, ${state.size} tensors, ${formatBytes(bytes.length)}\n`);
}

export const convertCommand: CommandFactory = (io) =>
  command('convert', 'write a checkpoint as safetensors', [
    'convert ghostnet.pth ghostnet.safetensors',
    'convert repghostnet.pth.tar small.safetensors --deploy --half',
  ])
    .argument('<in>', 'a checkpoint: what torch.save wrote, or safetensors')
    .argument('<out>', 'the safetensors file to write')
    .option('--deploy', 're-parameterised, and with the batch norms folded into the convolutions')
    .option('--half', 'in 16 bits: half the size, and still 3 digits')
    .option('--labels <file>', 'put the names of the classes in')
    .option('--model <name>', 'the network, where its weights do not tell')
    .addOption(preferOption())
    .action((input: string, output: string, options: ConvertOptions) => convert(io, input, output, options));
