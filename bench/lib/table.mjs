/** Rows as an aligned table; numbers stand to the right, and a column that says the same in every row goes into a line below. */
export function formatTable(rows) {
  if (rows.length === 0) return 'no rows\n';
  const keys = [...new Set(rows.flatMap(Object.keys))];
  const isShared = (key) => rows.length > 1 && rows.every((row) => row[key] === rows[0][key]);
  const shared = keys.filter(isShared);
  const columns = keys.filter((key) => !isShared(key));
  const text = (value) => (value === undefined ? '' : String(value));
  const lines = [columns, ...rows.map((row) => columns.map((key) => text(row[key])))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  const numeric = columns.map((key) => rows.every((row) => row[key] === undefined || typeof row[key] === 'number'));
  const format = (line) =>
    line
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd();
  const table = [format(lines[0]), widths.map((w) => '-'.repeat(w)).join('  '), ...lines.slice(1).map(format)];
  const below = shared.map((key) => `${key}: ${text(rows[0][key])}`);
  return `${[...table, ...(below.length ? ['', ...below] : [])].join('\n')}\n`;
}
