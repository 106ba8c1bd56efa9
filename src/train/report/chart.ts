import { escapeHtml } from './html.js';

/** A line of a chart. */
export interface Series {
  readonly name: string;
  /** The class that colours it: `muted`, `first` or `second`. */
  readonly tone: 'muted' | 'first' | 'second';
  /** Values at 1, 2, ...; over one that is missing the line goes on, one that is not finite leaves a gap. */
  readonly values: readonly (number | undefined)[];
}

export interface ChartOptions {
  readonly title: string;
  readonly format: (value: number) => string;
  /** Whether the axis begins at 0. */
  readonly fromZero?: boolean;
}

const WIDTH = 560;
const HEIGHT = 260;
const MARGIN = { top: 14, right: 14, bottom: 30, left: 52 };

/** Round numbers that cover a range: about `count` of them, a step of 1, 2 or 5 times a power of ten apart. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((m) => m * power >= rough * 0.999) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Ticks of an axis of epochs: whole numbers within 1 to `count`. */
function epochTicks(count: number): number[] {
  if (count <= 8) return Array.from({ length: count }, (_, i) => i + 1);
  return [1, ...niceTicks(0, count, 6).filter((tick) => tick > 1 && tick <= count && Number.isInteger(tick))];
}

const isPoint = (value: number | undefined): value is number => value !== undefined && Number.isFinite(value);

/** A chart of lines over the epochs, as SVG. Every point tells its numbers when it is pointed at. */
export function lineChart(series: readonly Series[], { title, format, fromZero = false }: ChartOptions): string {
  const shown = series.filter(({ values }) => values.some(isPoint));
  const all = shown.flatMap(({ values }) => values.filter(isPoint));
  const epochs = Math.max(0, ...shown.map(({ values }) => values.length));
  if (all.length === 0)
    return `<figure class="chart"><figcaption>${escapeHtml(title)}</figcaption><p>no data</p></figure>`;
  const low = fromZero ? Math.min(0, ...all) : Math.min(...all);
  const ticks = niceTicks(low, Math.max(...all), 5);
  const [bottom, top] = [ticks[0], ticks[ticks.length - 1]];
  const x = (epoch: number) =>
    MARGIN.left + (epochs === 1 ? 0.5 : (epoch - 1) / (epochs - 1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (value: number) =>
    HEIGHT - MARGIN.bottom - ((value - bottom) / (top - bottom)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const at = (value: number) => value.toFixed(1);

  const grid = ticks
    .map(
      (tick) =>
        `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at(y(tick))}" y2="${at(y(tick))}"/>` +
        `<text class="tick" x="${MARGIN.left - 8}" y="${at(y(tick) + 4)}" text-anchor="end">${format(tick)}</text>`,
    )
    .join('');
  const below = epochTicks(epochs)
    .map((e) => `<text class="tick" x="${at(x(e))}" y="${HEIGHT - 10}" text-anchor="middle">${e}</text>`)
    .join('');
  const lines = shown
    .map(({ tone, values }) => {
      const runs: string[][] = [[]];
      for (const [i, value] of values.entries()) {
        if (isPoint(value)) runs.at(-1)?.push(`${at(x(i + 1))} ${at(y(value))}`);
        else if (value !== undefined) runs.push([]);
      }
      const drawn = runs.filter((run) => run.length > 0);
      // Of a point by itself a line would show nothing.
      const path = drawn.map((run) => `M${run.join('L')}${run.length === 1 ? 'h.1' : ''}`).join('');
      return `<path class="line ${tone}" d="${path}"/>`;
    })
    .join('');
  const step = epochs > 1 ? x(2) - x(1) : WIDTH - MARGIN.left - MARGIN.right;
  const readings = Array.from({ length: epochs }, (_, i) => {
    const texts = shown.flatMap(({ name, values }) => {
      const value = values[i];
      return isPoint(value) ? [`${name}: ${format(value)}`] : [];
    });
    const area = `x="${at(x(i + 1) - step / 2)}" y="${MARGIN.top}" width="${at(step)}" height="${HEIGHT - MARGIN.top - MARGIN.bottom}"`;
    const line = `<line x1="${at(x(i + 1))}" x2="${at(x(i + 1))}" y1="${MARGIN.top}" y2="${HEIGHT - MARGIN.bottom}"/>`;
    return `<g class="reading"><rect ${area}/>${line}<title>epoch ${i + 1}\n${escapeHtml(texts.join('\n'))}</title></g>`;
  }).join('');
  const legend =
    shown.length > 1
      ? shown.map(({ name, tone }) => `<span class="key ${tone}">${escapeHtml(name)}</span>`).join('')
      : '';
  return `<figure class="chart">
<figcaption>${escapeHtml(title)}<span class="legend">${legend}</span></figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${grid}${below}${lines}${readings}</svg>
</figure>`;
}
