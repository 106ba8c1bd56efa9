import { styleText } from 'node:util';
import Table from 'cli-table3';
import { printable } from '../formats/text.js';

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

/** Longer than any line or cell of a table that is of use to a person. */
const LONGEST = 4000;

/** Writes a line, without what would move a terminal's cursor: names of strangers are in it. */
export function writeLine(sink: Sink, line: string): void {
  sink.write(`${printable(line, LONGEST)}\n`);
}

/** The standard output as JSON. Of the characters that terminals obey JSON leaves some as they are; escaped they mean the same. */
export function printJson(io: Io, value: unknown): void {
  const text = JSON.stringify(value, null, 2);
  const escaped = text.replace(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
  io.out.write(`${escaped}\n`);
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

const cellsOf = (row: readonly string[]) => row.map((cell) => printable(cell, LONGEST));

function layOut(aligns: readonly ('left' | 'right')[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    chars: { ...NO_BORDERS, 'left-mid': '', middle: '  ' },
    colAligns: [...aligns],
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  for (const row of rows) table.push([...row]);
  const lines = table.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** Rows under titles, in columns two spaces apart. Cells are shown as {@link writeLine} shows lines. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style = (_, text) => text,
): string {
  const titles = columns.some(({ title }) => title !== '') ? [columns.map(({ title }) => style('dim', title))] : [];
  return layOut(
    columns.map(({ align = 'left' }) => align),
    [...titles, ...rows.map(cellsOf)],
  );
}

/** Names and what they stand for, one pair a line. */
export function formatPairs(pairs: readonly (readonly [string, string])[], style: Style = (_, text) => text): string {
  const rows = pairs.map(cellsOf).map(([name, value]) => [style('dim', name), value]);
  return layOut(['left', 'left'], rows);
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
