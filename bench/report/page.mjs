import { accuracyChart, barChart, table } from './charts.mjs';
import { STYLE } from './style.mjs';

const NAMES = {
  ghostkit: 'ghostkit',
  'onnxruntime-web': 'onnxruntime-web',
  'tfjs-wasm': 'tfjs',
  'onnxruntime-node': 'onnxruntime, native',
};

const ms = (value) => `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
const kB = (value) => `${(value / 1000).toFixed(value < 1e5 ? 1 : 0)} KB`;
const times = (ratio) => `${ratio.toFixed(ratio < 10 ? 1 : 0)}x`;

/** What stands for a runtime in a list of them. */
function titleOf({ runtime, threads, kernels, precision, place, visit, store }, { withThreads = true } = {}) {
  const details = [
    precision && precision !== 'fp32' ? precision : undefined,
    kernels === 'simd' ? 'plain SIMD' : undefined,
    place === 'worker' ? 'in a worker' : undefined,
    withThreads && threads > 1 ? `${threads} threads` : undefined,
    visit === 'again' ? 'visited before' : undefined,
    store === 'cache-storage' ? 'kept in Cache Storage' : undefined,
  ].filter(Boolean);
  return [NAMES[runtime], ...details].join(', ');
}

const groupOf = ({ runtime, precision }) => (precision === 'int8' ? 'ghostkit, int8' : NAMES[runtime]);

/** Everything that a row of the inference benches may be asked for. */
function finder(rows = []) {
  return (wanted) => rows.find((row) => Object.entries(wanted).every(([key, value]) => row[key] === value));
}

/** Our fastest build on one thread, in one precision. */
const OURS = { runtime: 'ghostkit', threads: 1 };

/** @param {{ networks: any[], compared: string, parts: Record<string, any[]>, began: Date, missing?: string, quick: boolean }} report */
export function reportPage({ networks, compared, parts, began, missing, quick }) {
  const { node, browser, size, coldStart } = parts;
  const inPage = browser && { rows: browser, where: 'Chromium', ours: { ...OURS, kernels: 'relaxed' } };
  const places = [...(inPage ? [inPage] : []), { rows: node, where: 'Node', ours: OURS }];
  const [first] = places;
  const sections = [
    tiles(first, { compared, size, coldStart }),
    heading(
      'Accuracy against latency',
      'Accuracy is what the papers report for ImageNet at 224 px; latency was measured here, on one thread, deploy form, one picture. Up and to the left is better.',
    ),
    `<div class="two">${places.map((place) => familyChart(networks, place)).join('')}</div>`,
    heading('RepGhostNet in every runtime', 'The same networks, run by each runtime on one thread.'),
    `<div class="two">${places.map((place) => runtimeChart(networks, place)).join('')}</div>`,
    heading(`${compared}, one picture`, 'Medians; runtimes took turns in one run.'),
    `<div class="two">${places.map((place) => comparisonChart(compared, place)).join('')}</div>`,
    heading(
      'What a page waits for',
      'Everything a page downloads beside the weights, compressed; and the time to a first answer, each in a fresh page or process with everything cached.',
    ),
    `<div class="two">${sizeChart(size)}${places.map(({ where }) => coldStartChart(coldStart, where)).join('')}</div>`,
    heading('All numbers', 'Milliseconds for one picture of 224 px.'),
    ...places.map((place) => numbers(networks, place)),
    sources(networks),
  ];
  const machine = node[0].machine;
  const where = [machine, browser?.[0].browser].filter(Boolean).join('; ');
  const note = quick ? '<p class="note">A quick run: the numbers are rough.</p>' : '';
  const without = missing ? `<p class="note">Without a browser: ${missing}.</p>` : '';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>ghostkit: what was measured</title><link rel="icon" href="data:,"><style>${STYLE}</style></head><body>
<h1>ghostkit: what was measured</h1>
<p class="lead">${where}. ${began.toISOString().slice(0, 16).replace('T', ' ')} UTC. Every number is from this one run, except accuracies, which are the papers'.</p>
${note}${without}${sections.join('\n')}
</body></html>
`;
}

const heading = (title, text) => `<h2>${title}</h2><p class="lead">${text}</p>`;

function tiles({ rows, where, ours }, { compared, size, coldStart }) {
  const find = finder(rows.filter(({ model }) => model === compared));
  const own = find({ ...ours, precision: 'fp32' });
  const list = [];
  const tile = (number, text) => list.push(`<li><b>${number}</b><span>${text}</span></li>`);
  for (const runtime of ['onnxruntime-web', 'tfjs-wasm']) {
    const peer = find({ runtime, threads: 1 });
    if (!peer) continue;
    const what =
      list.length === 0
        ? `: ${ms(own.medianMs)} for ${compared}, fp32, one thread`
        : `, which takes ${ms(peer.medianMs)}`;
    tile(times(peer.medianMs / own.medianMs), `as fast as ${NAMES[runtime]} in ${where}${what}`);
  }
  const int8 = find({ ...ours, precision: 'int8' });
  if (int8) tile(times(own.medianMs / int8.medianMs), `faster again in int8: ${ms(int8.medianMs)}`);
  const bytes = finder(size);
  const [mine, theirs] = ['ghostkit', 'onnxruntime-web'].map((runtime) => bytes({ runtime }));
  if (mine && theirs)
    tile(
      kB(mine.gzipBytes),
      `beside the weights; onnxruntime-web has ${times(theirs.gzipBytes / mine.gzipBytes)} as much`,
    );
  const starts = coldStart.filter((row) => row.where === where.toLowerCase() && row.visit !== 'again');
  const bestOf = (name) => starts.filter(({ runtime }) => runtime === name).sort((a, b) => a.medianMs - b.medianMs)[0];
  const [best, peer] = ['ghostkit', 'onnxruntime-web'].map(bestOf);
  if (best && peer) {
    tile(
      ms(best.medianMs),
      `to the first answer in ${where}, ${titleOf(best)}; onnxruntime-web takes ${times(peer.medianMs / best.medianMs)} as long`,
    );
  }
  return `<ul class="tiles">${list.join('')}</ul>`;
}

function familyChart(networks, { rows, where, ours }) {
  const find = finder(rows);
  const points = networks.flatMap(({ name, family, label, top1 }) => {
    const row = find({ model: name, ...ours, precision: 'fp32' });
    return row ? [{ series: family, label, ms: row.medianMs, top1 }] : [];
  });
  return accuracyChart(`In ${where}`, 'ghostkit, fp32, one thread', points);
}

function runtimeChart(networks, { rows, where, ours }) {
  const find = finder(rows);
  const wanted = [
    ...[
      { ...ours, precision: 'fp32' },
      { ...ours, precision: 'int8' },
    ],
    ...['onnxruntime-web', 'tfjs-wasm', 'onnxruntime-node'].map((runtime) => ({
      runtime,
      threads: 1,
      precision: 'fp32',
    })),
  ];
  const points = wanted.flatMap((which) =>
    networks.flatMap(({ name, family, label, top1 }) => {
      const row = family === 'RepGhostNet' ? find({ model: name, ...which }) : undefined;
      return row ? [{ series: groupOf(row), label, ms: row.medianMs, top1 }] : [];
    }),
  );
  // A width has the same accuracy in all of them: once is enough for its label.
  return accuracyChart(
    `In ${where}`,
    'RepGhostNet; accuracy is that of fp32',
    points,
    (series) => series === groupOf({ ...ours, precision: 'fp32' }),
  );
}

function comparisonChart(compared, { rows, where }) {
  const bars = rows
    .filter(({ model }) => model === compared)
    .map((row) => ({ label: titleOf(row), group: groupOf(row), value: row.medianMs }))
    .sort((a, b) => a.value - b.value);
  return barChart(`In ${where}`, 'shorter is better', bars, ms);
}

function sizeChart(size) {
  const bars = size.map((row) => ({ label: NAMES[row.runtime], group: NAMES[row.runtime], value: row.gzipBytes }));
  return barChart('Download', 'compressed, beside the weights', bars, kB);
}

function coldStartChart(rows, where) {
  const bars = rows
    .filter((row) => row.where === where.toLowerCase())
    .map((row) => ({ label: titleOf(row, { withThreads: false }), group: groupOf(row), value: row.medianMs }))
    .sort((a, b) => a.value - b.value);
  return bars.length === 0
    ? ''
    : barChart(`First answer in ${where}`, 'navigation or import to the first logits', bars, ms);
}

function numbers(networks, { rows, where }) {
  const kinds = [...new Map(rows.map((row) => [titleOf(row), row])).keys()];
  const body = networks.map(({ name, top1 }) => {
    const own = new Map(rows.filter(({ model }) => model === name).map((row) => [titleOf(row), row.medianMs]));
    const cells = kinds.map((kind) => ({ text: own.get(kind)?.toFixed(2) ?? '–', own: kind.startsWith('ghostkit') }));
    return [name, top1.toFixed(1), ...cells];
  });
  return `<h3>In ${where}</h3>${table(['network', 'top-1, %', ...kinds], body)}`;
}

function sources(networks) {
  const list = [...new Set(networks.map(({ source }) => source))].map((source) => `<li>${source}</li>`).join('');
  return `<footer>Accuracies: <ul>${list}</ul></footer>`;
}
