// Writes the tables of docs/ghostify.md, beside the paper's numbers, from the networks themselves: npm run build && node
// scripts/ghostify-doc.mjs. A test holds that the page says what this computes.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const CIFAR = [1, 3, 32, 32];
const IMAGENET = [1, 3, 224, 224];

/**
 * What the GhostNet paper (arXiv:1911.11907) reports: parameters and multiply-adds ("weights" and "FLOPs") as they are printed there.
 * `of` makes our network.
 */
export const PAPER = [
  { name: 'VGG-16', table: 5, params: '15 M', macs: '313 M', input: CIFAR, of: (g) => g.vgg16() },
  { name: 'Ghost-VGG-16 (s=2)', table: 5, params: '7.7 M', macs: '158 M', input: CIFAR, of: (g) => g.ghostVgg16() },
  { name: 'ResNet-56', table: 5, params: '0.85 M', macs: '125 M', input: CIFAR, of: (g) => g.resnet56() },
  {
    name: 'Ghost-ResNet-56 (s=2)',
    table: 5,
    params: '0.43 M',
    macs: '63 M',
    input: CIFAR,
    of: (g) => g.ghostResnet56(),
  },
  { name: 'ResNet-50', table: 6, params: '25.6 M', macs: '4.1 B', input: IMAGENET, of: (g) => g.resnet50() },
  {
    name: 'Ghost-ResNet-50 (s=2)',
    table: 6,
    params: '13.0 M',
    macs: '2.2 B',
    input: IMAGENET,
    of: (g) => g.ghostResnet50(),
  },
  {
    name: 'Ghost-ResNet-50 (s=4)',
    table: 6,
    params: '6.5 M',
    macs: '1.2 B',
    input: IMAGENET,
    of: (g) => g.ghostResnet50({}, 4),
  },
];

/** Tables 3 and 4 of the paper: Ghost-VGG-16 with other kernels and ratios. */
export const ABLATION = [
  { ratio: 2, kernel: 1, params: '7.6 M', macs: '157 M' },
  { ratio: 2, kernel: 3, params: '7.7 M', macs: '158 M' },
  { ratio: 2, kernel: 5, params: '7.7 M', macs: '160 M' },
  { ratio: 2, kernel: 7, params: '7.7 M', macs: '163 M' },
  { ratio: 3, kernel: 3, params: '5.2 M', macs: '107 M' },
  { ratio: 4, kernel: 3, params: '4.0 M', macs: '80 M' },
  { ratio: 5, kernel: 3, params: '3.3 M', macs: '65 M' },
];

const UNITS = { M: 1e6, B: 1e9 };

/** `158 M` as a number. */
export function numberOf(text) {
  const [digits, unit] = text.split(' ');
  return Number(digits) * UNITS[unit];
}

/** A number in the unit of the paper's, with two digits more. */
function like(text, value) {
  const [digits, unit] = text.split(' ');
  const decimals = (digits.split('.')[1] ?? '').length;
  return `${(value / UNITS[unit]).toFixed(decimals + 2)} ${unit}`;
}

const percent = (ours, paper) => `${ours < paper ? '−' : '+'}${Math.abs((ours / paper - 1) * 100).toFixed(1)} %`;
const millions = (value) => `${(value / 1e6).toFixed(3)} M`;

/** @param {string[][]} rows the first of them the titles */
function table([titles, ...rows]) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const right = titles.map((_, i) => (i === 0 ? '---' : '---:'));
  return [titles, right, ...rows].map(line).join('\n');
}

function comparison({ name, params, macs }, ours) {
  const [paperMacs, paperParams] = [numberOf(macs), numberOf(params)];
  return [
    name,
    like(macs, ours.macs),
    macs,
    percent(ours.macs, paperMacs),
    like(params, ours.parameters),
    params,
    percent(ours.parameters, paperParams),
  ];
}

/** The learnable scalars of a network by what they are part of. */
function shares(model) {
  const sums = { convolutions: 0, cheap: 0, classifier: 0, vectors: 0 };
  for (const [key, { learnable, shape }] of model.namedParameters()) {
    if (!learnable) continue;
    const size = shape.reduce((a, b) => a * b, 1);
    if (shape.length === 1) sums.vectors += size;
    else if (shape.length === 2) sums.classifier += size;
    else sums[key.includes('.cheap_operation.') ? 'cheap' : 'convolutions'] += size;
  }
  return sums;
}

/** The parameters that a dense layer would have as a Ghost module. */
function asGhost([out, inFeatures], ratio, kernel = 3) {
  const intrinsic = Math.ceil(out / ratio);
  return intrinsic * inFeatures + intrinsic * (ratio - 1) * kernel ** 2;
}

/** The multiply-adds of cheap operations: all there are less those of the same network with nothing in their place. */
function cheapMacs(g, model, input) {
  let macs = 0;
  for (const value of g.convolutions(g.trace(model, { input }))) {
    if (value.attrs.groups > 1) macs += value.op.macs(value);
  }
  return macs;
}

function countedTable(g) {
  const rows = PAPER.filter(({ name }) => name.startsWith('Ghost')).map(({ name, input, of, params }) => {
    const model = of(g);
    const { convolutions, cheap, classifier, vectors } = shares(model);
    const { macs, parameters } = g.modelStats(model, input);
    const ratio = name.includes('s=4') ? 4 : 2;
    const dense = [...model.namedParameters()].filter(([, p]) => p.shape.length === 2);
    const compressed = parameters - classifier + dense.reduce((n, [, p]) => n + asGhost(p.shape, ratio), 0);
    const withoutCheap = macs - cheapMacs(g, model, input);
    return [
      name,
      millions(withoutCheap),
      ...[convolutions, cheap, classifier, vectors, convolutions + cheap, compressed].map(millions),
      params,
    ];
  });
  return table([
    [
      'network',
      'multiply-adds without cheap operations',
      'convolutions',
      'cheap operations',
      'fully connected',
      'batch norms, biases',
      'convolutions and cheap operations',
      'all, were the fully connected layers Ghost modules',
      'paper',
    ],
    ...rows,
  ]);
}

function repghostTable(g) {
  const rows = [
    ['ResNet-50', g.resnet50()],
    ['Ghost-ResNet-50 (s=2)', g.ghostResnet50()],
    ['ResNet-50, `baseWidth: 32`', g.resnet50({ baseWidth: 32 })],
    ['the same with RepGhost modules', g.ghostify(g.resnet50({ baseWidth: 32 }), { module: 'repghost' })],
  ].map(([name, model]) => {
    for (const [, p] of model.namedParameters()) p.data = new Float32Array(p.shape.reduce((a, b) => a * b, 1));
    const graph = g.trace(model, { input: IMAGENET });
    const [training, deployed] = [g.graphStats(graph), g.graphStats(g.deploy(graph))];
    return [name, millions(training.parameters), millions(deployed.parameters), like('4.1 B', deployed.macs)];
  });
  return table([['network', 'parameters', 'in deploy form', 'multiply-adds in deploy form'], ...rows]);
}

/** @returns {Record<string, string>} the tables by the names that the page's markers have */
export function ghostifyTables(g) {
  const titles = ['network', 'multiply-adds', 'paper', '', 'parameters', 'paper', ''];
  const networks = PAPER.map((row) => comparison(row, g.modelStats(row.of(g), row.input)));
  const ablation = ABLATION.map((row) => {
    const model = g.ghostify(g.vgg16(), { ratio: row.ratio, kernel: row.kernel, input: CIFAR });
    return comparison({ ...row, name: `s=${row.ratio}, d=${row.kernel}` }, g.modelStats(model, CIFAR));
  });
  return {
    networks: table([titles, ...networks]),
    ablation: table([['Ghost-VGG-16', ...titles.slice(1)], ...ablation]),
    counted: countedTable(g),
    repghost: repghostTable(g),
  };
}

/** A page with its marked tables replaced. */
export function withTables(page, tables) {
  return page.replace(/(<!-- table: (\w+) -->\n)[\s\S]*?(?=<!-- end -->)/g, (_, marker, name) => {
    if (!(name in tables)) throw new Error(`no table ${name}`);
    return `${marker}\n${tables[name]}\n\n`;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = process.argv[2] ?? '../dist';
  const from = (path) => import(new URL(`${dist}/${path}`, import.meta.url).href);
  const page = fileURLToPath(new URL('../docs/ghostify.md', import.meta.url));
  const [index, values] = await Promise.all([from('index.js'), from('graph/value.js')]);
  const convolutions = (graph) => values.valuesOf(graph).filter(({ op }) => op.name === 'conv2d');
  writeFileSync(page, withTables(readFileSync(page, 'utf8'), ghostifyTables({ ...index, convolutions })));
}
