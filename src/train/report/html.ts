const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text fit for HTML, in attributes too. Names come from files and may be anything. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => ENTITIES[c]);
}

/** Between a number and its unit, which belong on one line. */
const NBSP = '\u00a0';

/** `61.3 %`; a dash for what is not known, and what would round to nothing is not called nothing. */
export function percent(share: number | undefined, digits = 1): string {
  if (share === undefined || !Number.isFinite(share)) return '–';
  const least = 10 ** -digits;
  if (share > 0 && 100 * share < least / 2) return `<${NBSP}${least}${NBSP}%`;
  return `${(100 * share).toFixed(digits)}${NBSP}%`;
}

/** `2 h 5 min`, `24 min`, `3 min 20 s`, `45 s`. */
export function duration(seconds: number): string {
  const parts = (large: number, unit: string, small: number, rest: string) =>
    [`${large} ${unit}`, ...(small > 0 ? [`${small} ${rest}`] : [])].join(' ').replaceAll(' ', NBSP);
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}${NBSP}s`;
  if (whole < 600) return parts(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes}${NBSP}min` : parts(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
}

/** A class's name for a narrow place: WordNet's are lists of synonyms, of which the first will do. In HTML, with the whole as a hint. */
export function className(name: string): string {
  const [first] = name.split(',');
  return first === name ? escapeHtml(name) : `<span title="${escapeHtml(name)}">${escapeHtml(first)}</span>`;
}

/** A number with about three significant digits, without needless zeros: `0.05`, `1e-4`, `4.31`. */
export function short(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6)
    return value
      .toExponential(2)
      .replace(/\.?0+e/, 'e')
      .replace('e+', 'e');
  return String(Number(value.toPrecision(3)));
}
