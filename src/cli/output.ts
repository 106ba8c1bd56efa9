import { styleText } from 'node:util';
import Table from 'cli-table3';

/** A terminal, a pipe, or a test's ear. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** Where a command writes: results to `out`, everything else (progress, errors) to `err`. */
export interface Io {
  readonly out: Sink;
  readonly err: Sink;
}

export type Style = (format: Parameters<typeof styleText>[0], text: string) => string;

/** Colours for a person at a terminal who has not asked for none. */
export function styleFor(sink: Sink): Style {
  return sink.isTTY && !process.env.NO_COLOR ? styleText : (_, text) => text;
}

export function printJson(io: Io, value: unknown): void {
  io.out.write(`${JSON.stringify(value, null, 2)}\n`);
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

const NO_BORDERS = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid', 'middle'].flatMap((side) =>
    ['', '-mid', '-left', '-right'].map((place) => [side + place, '']),
  ),
);

/** Rows under titles, in columns two spaces apart. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style = (_, text) => text,
): string {
  const table = new Table({
    chars: { ...NO_BORDERS, 'left-mid': '', middle: '  ' },
    colAligns: columns.map(({ align = 'left' }) => align),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  if (columns.some(({ title }) => title !== '')) table.push(columns.map(({ title }) => style('dim', title)));
  for (const row of rows) table.push([...row]);
  const lines = table.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** Names and what they stand for, one pair a line. */
export function formatPairs(pairs: readonly (readonly [string, string])[], style?: Style): string {
  const names = pairs.map(([name, value]) => [style ? style('dim', name) : name, value]);
  return formatTable([{ title: '' }, { title: '' }], names);
}

/** `5.18 M`, `142 M`, `19.6 k`: three digits are what a person compares. */
export function formatCount(n: number): string {
  const units: [number, string][] = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  // A number that rounds to 1000 belongs to the next unit.
  const unit = units.find(([size]) => n >= 0.9995 * size);
  if (!unit) return Number.isInteger(n) ? String(n) : n.toPrecision(3);
  const scaled = n / unit[0];
  return `${scaled.toFixed(scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0)} ${unit[1]}`;
}

/** `20.6 MB`, in powers of ten as disks are sold. */
export function formatBytes(n: number): string {
  const count = formatCount(n);
  return /[GMk]$/.test(count) ? `${count}B` : `${count} B`;
}

export function formatMs(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

export function formatPercent(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)} %`;
}
