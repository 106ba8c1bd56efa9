/** Whether a value that was parsed is an object, and no list. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Beyond it JSON.parse takes long. */
const MAX_NESTING = 128;

/** Strings, brackets and commas: far more than any file needs, and few enough to be parsed in a moment and little memory. */
const MAX_PARTS = 2_000_000;

const [QUOTE, COMMA, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE] = Array.from('",[]{}', (c) => c.charCodeAt(0));

/**
 * JSON of an untrusted file. What becomes of it in memory is bounded: a list of empty objects takes forty times its text.
 *
 * @param onKey Told every key of the outermost object, as often as it stands there: JSON.parse keeps the last of equal ones without a word.
 * @throws SyntaxError as JSON.parse does, also for what is nested too deeply or has too many values.
 */
export function parseJson(text: string, onKey?: (key: string) => void): unknown {
  checkBounds(text, onKey);
  return JSON.parse(text);
}

/** A scan by hand: a regular expression overflows its stack on a long string. */
function checkBounds(text: string, onKey?: (key: string) => void): void {
  let depth = 0;
  let parts = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      const start = i;
      i = endOfString(text, start);
      if (onKey && depth === 1 && isKey(text, i)) onKey(JSON.parse(text.slice(start, i + 1)));
    } else if (c === OPEN || c === OPEN_LIST) {
      if (++depth > MAX_NESTING) throw new SyntaxError('it is nested too deeply');
    } else if (c === CLOSE || c === CLOSE_LIST) depth--;
    else if (c !== COMMA) continue;
    if (++parts > MAX_PARTS) throw new SyntaxError('it has too many values');
  }
}

/** Whether the string that ends at `end` is a key. */
function isKey(text: string, end: number): boolean {
  let next = end + 1;
  while (' \t\n\r'.includes(text[next] ?? ':')) next++;
  return text[next] === ':';
}

/** Where the string that begins at `start` has its closing quote; the end of the text where it has none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (text[before - 1] === '\\') before--;
    // A quote behind an odd number of backslashes belongs to the string.
    if ((end - before) % 2 === 0) return end;
  }
  return text.length;
}
