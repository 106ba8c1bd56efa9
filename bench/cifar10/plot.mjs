import { document, Plot } from '../lib/plot.mjs';

const COLORS = { RepGhostNet: '#0f766e', GhostNet: '#b45309', 'MobileNetV3 Small': '#6d28d9' };

const PANELS = [
  { x: ({ latencyMs }) => latencyMs, label: 'milliseconds for a picture, one thread' },
  { x: ({ macs }) => macs / 1e6, label: 'million multiply-accumulates' },
  { x: ({ parameters }) => parameters / 1e6, label: 'million parameters' },
];

const PANEL = { width: 300, height: 260 };

/**
 * Accuracy against latency, work and size, side by side, as an SVG of its own with its colours in it.
 *
 * @param {{ model: string, family: string, top1: number, latencyMs: number, macs: number, parameters: number }[]} rows
 */
export function cifarPlot(rows) {
  const panels = PANELS.map(({ x, label }, i) => {
    const svg = panel(rows, x, label, i === 0);
    svg.setAttribute('x', String(i * PANEL.width));
    return svg.outerHTML;
  });
  const width = PANELS.length * PANEL.width;
  const text = `CIFAR-10: accuracy against ${PANELS.map(({ label }) => label).join(', ')}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${PANEL.height}" viewBox="0 0 ${width} ${PANEL.height}" role="img" aria-label="${text}"><rect width="100%" height="100%" fill="#fff"/>${panels.join('')}</svg>\n`;
}

function panel(rows, x, label, isFirst) {
  const values = rows.map(x);
  const accuracies = rows.map(({ top1 }) => top1);
  const room = Math.max(1, (Math.max(...accuracies) - Math.min(...accuracies)) * 0.4);
  return Plot.plot({
    document,
    ...{ ...PANEL, marginLeft: 50, marginRight: 24, marginTop: 30, marginBottom: 44 },
    style: { background: 'none', color: '#333', fontSize: '12px', fontFamily: 'system-ui, sans-serif' },
    x: { label: `${label} →`, labelAnchor: 'center', domain: [0, Math.max(...values) * 1.45], grid: true, ticks: 5 },
    y: {
      label: isFirst ? '↑ top-1 on CIFAR-10, percent' : null,
      domain: [Math.min(...accuracies) - room, Math.max(...accuracies) + room],
      ...{ grid: true, ticks: 5 },
    },
    color: { domain: Object.keys(COLORS), range: Object.values(COLORS) },
    marks: [
      Plot.dot(rows, { x, y: 'top1', fill: 'family', r: 6 }),
      Plot.text(rows, {
        // To the left: what is slower and better stands to the right.
        ...{ x, y: 'top1', fill: 'family', textAnchor: 'end', dx: 8, dy: -14, fontWeight: 600 },
        text: ({ family, model }) => `${family} ${(Number(/\d+$/.exec(model)[0]) / 100).toFixed(1)}x`,
      }),
    ],
  });
}
