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
    [1e9, ' G'],
    [1e6, ' M'],
    [1e3, ' k'],
  ];
  const [size, unit] = units.find(([limit]) => n >= limit) ?? [1, ''];
  return `${unit ? Number((n / size).toPrecision(3)) : n}${unit}`;
}

/** `20.6 MB`, in powers of ten as disks are sold. */
export function formatBytes(n: number): string {
  return n < 1000 ? `${n} B` : `${formatCount(n).replace(' k', ' kB').replace(/ ([MG])$/, ' $1B')}`;
}

export function formatMs(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

export function formatPercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
