import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';

/** More than any set of pictures has classes. */
const MAX_LABELS = 1_000_000;

/** A name out of JSON: a string, or the last of `["n01440764", "tench"]` as Keras' index of ImageNet has them. */
function nameOf(value: unknown, where: string): string {
  const name = Array.isArray(value) ? value.at(-1) : value;
  if (typeof name !== 'string') throw new GhostkitError(`the label of ${where} is not a string`);
  return name;
}

/**
 * The names of classes in the order of their numbers: one a line, a JSON array, or a JSON object from numbers to names.
 *
 * @throws GhostkitError when it is neither, when a number is missing, and when there are over a million.
 */
export function parseLabels(text: string): string[] {
  const labels = labelsIn(text);
  if (labels.length > MAX_LABELS) throw new GhostkitError(`${labels.length} labels; the limit is ${MAX_LABELS}`);
  return labels;
}

function labelsIn(text: string): string[] {
  const plain = text.replace(/^\uFEFF/, '');
  if (!/^\s*[[{]/.test(plain)) {
    const names = plain.trimEnd().split(/\r?\n/);
    if (names.length === 1 && names[0] === '') throw new GhostkitError('the file is empty');
    return names.map((name) => name.trim());
  }
  let json: unknown;
  try {
    json = JSON.parse(plain);
  } catch (error) {
    throw new GhostkitError(`the file begins like JSON but is none (${messageOf(error)})`);
  }
  if (Array.isArray(json)) return json.map((value, i) => nameOf(value, `class ${i}`));
  const entries = Object.entries(json as Record<string, unknown>);
  const labels = new Map(entries.map(([key, value]) => [key, nameOf(value, `"${printable(key)}"`)]));
  return entries.map((_, i) => {
    const name = labels.get(String(i));
    if (name === undefined) throw new GhostkitError(`there is no class ${i} among the ${entries.length} of the file`);
    return name;
  });
}
