import { stat } from 'node:fs/promises';
import { METADATA } from '../formats/metadata.js';
import { printable } from '../formats/text.js';
import type { CompiledHeader } from '../runtime/compiled-format.js';
import { formatShape } from '../tensor/tensor.js';
import { metadataLines } from './info-metadata.js';
import { formatBytes, formatCount, formatPairs, type Io, printJson, styleFor } from './output.js';

/** Tells what a compiled model holds. */
export async function infoCompiled(io: Io, path: string, header: CompiledHeader, json?: boolean): Promise<void> {
  const { program, regions, metadata } = header;
  const { size: bytes } = await stat(path);
  const { inputs, outputs, memory, threads, macs, labels } = program;
  const weights: Record<string, number> = {};
  for (const { type, stored } of regions.slice(1)) weights[type] = (weights[type] ?? 0) + stored;
  if (json) {
    const shapes = (ports: typeof inputs) => Object.fromEntries(ports.map(({ name, shape }) => [name, shape]));
    printJson(io, {
      ...{ path, format: 'compiled', bytes, model: metadata[METADATA.model], inputs: shapes(inputs) },
      ...{ outputs: shapes(outputs), threads, macs, calls: labels.length, memory, weights, metadata },
    });
    return;
  }
  const ports = (of: typeof inputs) =>
    of.map(({ name, shape }) => `${printable(name)} ${formatShape(shape)}`).join(', ');
  const stored = Object.entries(weights).map(([type, count]) => `${formatBytes(count)} ${type}`);
  const lines: [string, string][] = [
    ['format', 'compiled model'],
    ['size', formatBytes(bytes)],
    ['model', printable(metadata[METADATA.model] ?? 'not told')],
    ['input', ports(inputs)],
    ['output', ports(outputs)],
    ['weights', stored.join(', ')],
    ['program', `${labels.length} kernel calls, ${formatCount(macs)} MACs, at most ${threads} threads`],
    ['memory', `${formatBytes(memory.total)}, of it ${formatBytes(memory.activations)} beside weights and program`],
  ];
  lines.push(...metadataLines(metadata));
  io.out.write(formatPairs(lines, styleFor(io.out)));
}
