import { type Command, Option } from 'commander';
import { UsageError } from './errors.js';

/** What runs a classifier: ghostkit's kernels, or onnxruntime. */
export type BackendName = 'ghostkit' | 'onnx';

export interface BackendOptions {
  readonly backend?: BackendName;
  readonly providers?: readonly string[];
}

/** Adds the options that choose what runs a network. */
export function withBackend(command: Command): Command {
  return command
    .addOption(
      new Option('--backend <which>', 'what runs the network (default: ghostkit)').choices(['ghostkit', 'onnx']),
    )
    .option(
      '--providers <names>',
      'execution providers of onnxruntime, the preferred ones first: cpu, cuda, dml, coreml, webgpu (default: cpu)',
      (names: string) => names.split(',').map((name) => name.trim()),
    );
}

/** The providers to use, when onnxruntime runs the network. */
export function providersOf({ backend, providers }: BackendOptions): readonly string[] | undefined {
  if (backend !== 'onnx') {
    if (providers) throw new UsageError('--providers are those of onnxruntime: --backend onnx');
    return undefined;
  }
  if (providers?.some((name) => !/^[a-z]\w*$/i.test(name))) throw new UsageError('--providers: names, with commas');
  return providers ?? ['cpu'];
}
