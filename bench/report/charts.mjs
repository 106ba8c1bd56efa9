import { document, Plot } from '../lib/plot.mjs';

/** The same thing has the same colour in every chart. */
const COLORS = {
  ghostkit: 'var(--c1)',
  'ghostkit, int8': 'var(--c2)',
  tfjs: 'var(--c3)',
  'onnxruntime-web': 'var(--c4)',
  'onnxruntime, native': 'var(--c5)',
  RepGhostNet: 'var(--c1)',
  GhostNet: 'var(--c4)',
  MobileNetV3: 'var(--c3)',
};

const colorsOf = (keys) => ({ domain: keys, range: keys.map((key) => COLORS[key]) });

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.codePointAt(0)};`);

const COMMON = {
  document,
  style: { background: 'none', color: 'var(--ink)', fontSize: '13px', fontFamily: 'inherit' },
};

/** A figure with its caption, the meaning of its colours and what a screen reader says of it. */
function figure(title, subtitle, keys, svg) {
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${title}. ${subtitle}`);
  const legend = keys.map((key) => `<li style="--key: ${COLORS[key]}">${escaped(key)}</li>`).join('');
  return `<figure><figcaption>${escaped(title)} <span>${escaped(subtitle)}</span></figcaption>${
    keys.length > 1 ? `<ul class="keys">${legend}</ul>` : ''
  }${svg.outerHTML}</figure>`;
}

/**
 * Accuracy against latency: a line for each series through its points.
 *
 * @param {{ series: string, label: string, ms: number, top1: number }[]} points
 * @param {(series: string) => boolean} labelled whose points have their labels beside them
 */
export function accuracyChart(title, subtitle, points, labelled = () => true) {
  const keys = [...new Set(points.map(({ series }) => series))];
  const channels = { x: 'ms', y: 'top1', stroke: 'series' };
  const sorted = [...points].sort((a, b) => a.top1 - b.top1);
  const svg = Plot.plot({
    ...COMMON,
    ...{ width: 620, height: 400, marginLeft: 46, marginBottom: 42, marginRight: 34, marginTop: 22 },
    x: {
      type: 'log',
      label: 'milliseconds for a picture (logarithmic) →',
      grid: true,
      ticks: ticksFor(points),
      tickFormat: String,
    },
    y: { label: '↑ top-1 on ImageNet, percent', grid: true, nice: true },
    color: colorsOf(keys),
    marks: [
      Plot.line(sorted, { ...channels, strokeWidth: 2.2 }),
      Plot.dot(sorted, {
        ...{ x: 'ms', y: 'top1', fill: 'series', r: 4.5, stroke: 'var(--card)' },
        title: ({ series, label, ms, top1 }) => `${series} ${label}: ${top1} %, ${ms.toFixed(2)} ms`,
      }),
      ...keys.filter(labelled).map((key, i) =>
        Plot.text(
          sorted.filter(({ series }) => series === key),
          // Above and below in turn: lines lie close together.
          { x: 'ms', y: 'top1', text: 'label', fill: 'series', dy: i % 2 ? -11 : 12, fontSize: 11.5, fontWeight: 600 },
        ),
      ),
    ],
  });
  return figure(title, subtitle, keys, svg);
}

/** Round numbers over a logarithmic axis. */
function ticksFor(points) {
  const all = points.map(({ ms }) => ms);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const candidates = [-2, -1, 0, 1, 2, 3].flatMap((power) =>
    [1, 2, 5].map((m) => Number((m * 10 ** power).toPrecision(1))),
  );
  return candidates.filter((tick) => tick >= low * 0.8 && tick <= high * 1.25);
}

/**
 * Horizontal bars with their numbers.
 *
 * @param {{ label: string, group: string, value: number }[]} bars the best is the shortest
 * @param {(value: number) => string} format
 */
export function barChart(title, subtitle, bars, format) {
  const keys = [...new Set(bars.map(({ group }) => group))];
  const longest = Math.max(...bars.map(({ label }) => label.length));
  const svg = Plot.plot({
    ...COMMON,
    ...{
      width: 620,
      height: 34 + bars.length * 30,
      marginLeft: 14 + longest * 7,
      marginRight: 76,
      marginTop: 6,
      marginBottom: 6,
    },
    x: { domain: [0, Math.max(...bars.map(({ value }) => value))], axis: null },
    y: { domain: bars.map(({ label }) => label), label: null, tickSize: 0, padding: 0.28 },
    color: colorsOf(keys),
    marks: [
      Plot.barX(bars, { x: 'value', y: 'label', fill: 'group', rx: 3 }),
      Plot.text(bars, {
        x: 'value',
        y: 'label',
        text: ({ value }) => format(value),
        dx: 6,
        textAnchor: 'start',
        fontWeight: 600,
        fill: 'var(--ink)',
      }),
    ],
  });
  return figure(title, subtitle, keys, svg);
}

/** A table; a cell is a text, or `{ text, own }` for one that stands out. */
export function table(head, rows) {
  const cell = (value) => {
    const { text, own } = typeof value === 'object' && value !== null ? value : { text: value ?? '–', own: false };
    return `<td${own ? ' class="own"' : ''}>${escaped(text)}</td>`;
  };
  const line = (cells) => `<tr>${cells.map(cell).join('')}</tr>`;
  const heads = head.map((text) => `<th scope="col">${escaped(text)}</th>`).join('');
  return `<div class="card scroll"><table><thead><tr>${heads}</tr></thead><tbody>${rows.map(line).join('')}</tbody></table></div>`;
}
