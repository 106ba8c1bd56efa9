import { stat } from 'node:fs/promises';
import { readBytes } from '../formats/files.js';
import { METADATA } from '../formats/metadata.js';
import { decodeModel, type ModelProto, type ValueInfoProto } from '../formats/onnx/decode.js';
import { printable } from '../formats/text.js';
import { withPath } from '../formats/with-path.js';
import type { ImportedModel } from '../models/imported.js';
import { readOnnx } from '../models/read-onnx.js';
import { graphStats } from '../models/stats.js';
import { trace } from '../nn/trace.js';
import { GhostkitError } from '../tensor/error.js';
import { sizeOf } from '../tensor/tensor.js';
import { metadataLines } from './info-metadata.js';
import { formatBytes, formatCount, formatPairs, type Io, printJson, styleFor } from './output.js';

/** A line of a table holds no more of a name. */
const SHOWN = 60;

/** The network as ghostkit would run it, or why it would not. */
async function imported(path: string): Promise<{ model?: ImportedModel; error?: string }> {
  try {
    return { model: await readOnnx(path) };
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    return { error: error.message.slice(error.message.indexOf(': ') + 2) };
  }
}

/** How many nodes of each operator there are, the most first. */
function operatorsOf({ graph }: ModelProto): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { opType, domain } of graph.nodes) {
    const name = domain ? `${domain}.${opType}` : opType;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

const portOf = ({ name, shape }: ValueInfoProto) => ({ name, shape: shape ?? null });

const shapeOf = ({ name, shape }: ValueInfoProto) =>
  `${printable(name, SHOWN)}${shape ? ` ${printable(shape.join(' x '), SHOWN)}` : ''}`;

/** Tells what an ONNX file holds, and whether ghostkit can run it. */
export async function infoOnnx(io: Io, path: string, json = false): Promise<void> {
  const content = await readBytes(path, 'models');
  const file = withPath(path, () => decodeModel(content));
  const { size: bytes } = await stat(path);
  const { graph, producer, opset, metadata } = file;
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const operators = operatorsOf(file);
  const elements = [...graph.initializers.values()].reduce((n, { shape }) => n + sizeOf(shape), 0);
  const { model, error } = await imported(path);
  const stats = model && graphStats(trace(model, { input: model.input }));
  const network = model && {
    input: model.input,
    output: model.output,
    parameters: model.parameterCount(),
    macs: stats?.macs,
    endsInSoftmax: model.endsInSoftmax,
  };
  if (json) {
    const ports = { inputs: inputs.map(portOf), outputs: graph.outputs.map(portOf) };
    printJson(io, {
      ...{ path, format: 'onnx', bytes, producer, opset, name: graph.name, nodes: graph.nodes.length, operators },
      ...{ ...ports, initializers: graph.initializers.size, elements, network, error, metadata },
    });
    return;
  }
  const shown = Object.entries(operators).map(([name, count]) => `${count} ${printable(name, SHOWN)}`);
  const lines: [string, string][] = [
    ['format', `ONNX, opset ${opset}${producer ? `, by ${printable(producer, SHOWN)}` : ''}`],
    ['size', formatBytes(bytes)],
    ['inputs', inputs.map(shapeOf).join(', ')],
    ['outputs', graph.outputs.map(shapeOf).join(', ')],
    ['nodes', `${graph.nodes.length}: ${shown.slice(0, 8).join(', ')}${shown.length > 8 ? ', …' : ''}`],
    ['stored', `${graph.initializers.size} arrays, ${formatCount(elements)} elements`],
  ];
  if (network) {
    lines.push(['parameters', formatCount(network.parameters)]);
    lines.push(['MACs', `${formatCount(network.macs ?? 0)} for ${network.input.slice(1).join(' x ')}`]);
  } else lines.push(['ghostkit', `cannot run it: ${error}`]);
  lines.push(...metadataLines(metadata, [METADATA.graph]));
  io.out.write(formatPairs(lines, styleFor(io.out)));
}
