import { preprocessingIn } from '../data/preprocessing.js';
import { METADATA } from '../formats/metadata.js';
import { printable } from '../formats/text.js';
import { formatPercent } from './output.js';

type Metadata = Readonly<Record<string, string>>;

/** A line of a table holds no more of a value, and this many names of classes. */
const SHOWN = 60;
const NAMES = 3;

/** What has a line of its own elsewhere, or is no reading for people. */
const TOLD: readonly string[] = [METADATA.model, METADATA.form, METADATA.graph];

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function labelsLine(text: string): string | undefined {
  const labels = json(text);
  if (!Array.isArray(labels) || !labels.every((label) => typeof label === 'string')) return undefined;
  // The first of several names for the same, as ImageNet's lists have them.
  const names = labels.slice(0, NAMES).map((label) => printable(label.split(',')[0], SHOWN / 2));
  return `${labels.length}: ${names.join(' · ')}${labels.length > NAMES ? ' · …' : ''}`;
}

function preprocessingLine(metadata: Metadata): string | undefined {
  try {
    const known = preprocessingIn(metadata);
    if (!known) return undefined;
    const { size, cropRatio, interpolation, mean, std } = known;
    const crop = cropRatio === 1 ? 'the largest square' : `the middle ${formatPercent(cropRatio)}`;
    return `${size} x ${size}, ${crop}, ${interpolation}, mean ${mean.join(' ')}, std ${std.join(' ')}`;
  } catch {
    // No preprocessing: shown as it is.
    return undefined;
  }
}

/** What the evaluation said that a training kept its weights for. */
function resultLine(text: string): string | undefined {
  const result = json(text);
  if (typeof result !== 'object' || result === null) return undefined;
  const { top1, top5, pictures, epoch } = result as Record<string, unknown>;
  if (typeof top1 !== 'number') return undefined;
  const parts = [
    `${formatPercent(top1, 2)} top-1`,
    typeof top5 === 'number' && `${formatPercent(top5, 2)} top-5`,
    typeof pictures === 'number' && `of ${pictures} pictures`,
    typeof epoch === 'number' && `in epoch ${epoch + 1}`,
  ];
  return parts.filter(Boolean).join(', ').replace(', of ', ' of ');
}

/** The metadata of a file as lines for people: in words what ghostkit writes, the start of everything else. */
export function metadataLines(metadata: Metadata, leftOut = TOLD): [string, string][] {
  const known = new Map<string, readonly [string, (text: string) => string | undefined]>([
    [METADATA.labels, ['classes', labelsLine]],
    [METADATA.preprocessing, ['pictures', () => preprocessingLine(metadata)]],
    [METADATA.result, ['result', resultLine]],
  ]);
  const lines: [string, string][] = [];
  const others: [string, string][] = [];
  for (const [key, value] of Object.entries(metadata)) {
    if (leftOut.includes(key)) continue;
    const [name, words] = known.get(key) ?? [];
    const said = words?.(value);
    if (name !== undefined && said !== undefined) lines.push([name, said]);
    else others.push([others.length === 0 ? 'metadata' : '', `${printable(key, SHOWN)} = ${printable(value, SHOWN)}`]);
  }
  return [...lines, ...others];
}
