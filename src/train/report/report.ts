import type { RgbImage } from '../../data/resample.js';
import type { ConfusionMatrix, Mistake } from '../metrics.js';
import { bestEvaluation, type EpochMetrics } from '../metrics-log.js';
import { lineChart } from './chart.js';
import { className, duration, escapeHtml, percent, short } from './html.js';
import { STYLE } from './style.js';

/** A mistake with what it takes to show it. */
export interface ShownMistake extends Mistake {
  /** Where the picture comes from. */
  readonly name: string;
  /** See {@link thumbnail}; without it a grey square. */
  readonly picture?: Thumbnail;
}

/** A small picture within the page. */
export interface Thumbnail {
  readonly uri: string;
  readonly width: number;
  readonly height: number;
}

/** What a report tells. Whatever is missing is left out. */
export interface ReportData {
  readonly title: string;
  readonly metrics: readonly EpochMetrics[];
  readonly classes: readonly string[];
  /** The epoch of the evaluation that the confusion matrix and the mistakes are of, counted from 0. */
  readonly epoch?: number;
  /** Of the evaluation that the report is about, as are the mistakes. */
  readonly confusion?: ConfusionMatrix;
  readonly mistakes?: readonly ShownMistake[];
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Lines about the machine, the model and the like. */
  readonly facts?: readonly (readonly [name: string, value: string])[];
  /** Pictures that could not be read. */
  readonly unreadable?: readonly { readonly name: string; readonly reason: string }[];
}

/** Up to so many classes the whole confusion matrix is shown, and beyond only what is confused most. */
const MATRIX_CLASSES = 25;
const SHOWN_CONFUSIONS = 20;
/** Rows of the table of classes before the rest folds. */
const SHOWN_CLASSES = 20;

/** A picture as WebP in a data URI, its long side at most `side` pixels. */
export async function thumbnail({ width, height, data }: RgbImage, side = 160): Promise<Thumbnail> {
  const { default: sharp } = await import('sharp');
  const { data: bytes, info } = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize(side, side, { fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 80 })
    .toBuffer({ resolveWithObject: true });
  return { uri: `data:image/webp;base64,${bytes.toString('base64')}`, width: info.width, height: info.height };
}

function tiles({ metrics, classes }: ReportData): string {
  const best = bestEvaluation(metrics);
  const last = metrics.at(-1);
  const values: [string, string][] = [];
  if (best) {
    const { top1, top5, which, epoch } = best;
    const averaged = which === 'average' ? ', averaged weights' : '';
    values.push([percent(top1), `best top-1, epoch ${epoch + 1}${averaged}`]);
    if (classes.length > 5) values.push([percent(top5), 'top-5 there']);
  }
  if (last) {
    const seconds = metrics.reduce((sum, row) => sum + row.seconds, 0);
    const speeds = metrics.map((row) => row.imagesPerSecond).sort((a, b) => a - b);
    values.push([short(last.trainLoss), 'last training loss']);
    values.push([String(metrics.length), metrics.length === 1 ? 'epoch' : 'epochs']);
    values.push([duration(seconds), 'of training']);
    values.push([String(Math.round(speeds[speeds.length >> 1])), 'pictures a second']);
  }
  return `<div class="tiles">${values.map(([value, what]) => `<div class="tile"><b>${value}</b><span>${what}</span></div>`).join('')}</div>`;
}

function charts({ metrics }: ReportData): string {
  const first = metrics[0]?.epoch ?? 0;
  const count = metrics.length === 0 ? 0 : (metrics.at(-1) as EpochMetrics).epoch - first + 1;
  const byEpoch = new Map(metrics.map((row) => [row.epoch, row]));
  const values = (key: keyof EpochMetrics) => Array.from({ length: count }, (_, i) => byEpoch.get(first + i)?.[key]);
  const lines = (train: keyof EpochMetrics, val: keyof EpochMetrics, ema: keyof EpochMetrics) =>
    [
      { name: 'training', tone: 'muted', values: values(train) },
      { name: 'validation', tone: 'first', values: values(val) },
      { name: 'validation, averaged weights', tone: 'second', values: values(ema) },
    ] as const;
  const whole = (value: number) => `${Math.round(value * 1000) / 10} %`;
  return `<div class="charts">
${lineChart(lines('trainTop1', 'valTop1', 'emaTop1'), { title: 'Top-1 accuracy', format: whole, fromZero: true })}
${lineChart(lines('trainLoss', 'valLoss', 'emaLoss'), { title: 'Loss', format: short })}
${lineChart([{ name: 'learning rate', tone: 'first', values: values('lr') }], { title: 'Learning rate', format: short, fromZero: true })}
${lineChart([{ name: 'pictures a second', tone: 'first', values: values('imagesPerSecond') }], { title: 'Pictures a second', format: short, fromZero: true })}
</div>`;
}

function matrix(confusion: ConfusionMatrix, classes: readonly string[]): string {
  const totals = confusion.perClass().map(({ count }) => count);
  const columns = classes.map((name) => `<th class="column"><div>${className(name)}</div></th>`).join('');
  const rows = classes.map((name, truth) => {
    const cells = classes.map((other, guess) => {
      const count = confusion.at(truth, guess);
      const share = totals[truth] > 0 ? count / totals[truth] : 0;
      const tones = [count === 0 && 'none', truth !== guess && count > 0 && 'wrong', share > 0.55 && 'strong'].filter(
        Boolean,
      );
      const hint =
        truth === guess
          ? `${name}: ${count} of ${totals[truth]} right`
          : `${name} taken for ${other}: ${count} of ${totals[truth]}`;
      return `<td class="${tones.join(' ')}" style="--share:${share.toFixed(3)}" title="${escapeHtml(hint)}">${count}</td>`;
    });
    return `<tr><th class="row">${className(name)}</th>${cells.join('')}</tr>`;
  });
  return `<p class="note">Rows are what the pictures show, columns what they were taken for.</p>
<div class="card scroll fit"><table class="matrix"><tr><th></th>${columns}</tr>${rows.join('')}</table></div>`;
}

function confusions(confusion: ConfusionMatrix, classes: readonly string[]): string {
  const totals = confusion.perClass().map(({ count }) => count);
  const top = confusion.topConfusions(SHOWN_CONFUSIONS);
  const most = top[0]?.count ?? 1;
  const rows = top.map(
    ({ truth, guess, count }) =>
      `<tr><td>${className(classes[truth])}</td><td>${className(classes[guess])}</td>` +
      `<td class="number">${count} of ${totals[truth]}</td><td class="bar"><i style="width:${((100 * count) / most).toFixed(1)}%"></i></td></tr>`,
  );
  return `<div class="card scroll"><table><tr><th>shows</th><th>taken for</th><th class="number">how often</th><th class="bar"></th></tr>${rows.join('')}</table></div>`;
}

function confusionSection({ confusion, classes, epoch }: ReportData): string {
  if (!confusion) return '';
  const whose = epoch === undefined ? '' : `<p class="note">From here on: the network of epoch ${epoch + 1}.</p>`;
  const body = classes.length <= MATRIX_CLASSES ? matrix(confusion, classes) : confusions(confusion, classes);
  return `<h2>What is taken for what</h2>${whose}${body}`;
}

function mistakeSection({ mistakes = [], classes }: ReportData): string {
  if (mistakes.length === 0) return '';
  const cards = mistakes.map(({ picture, name, guess, truth, probability, truthProbability }) => {
    const enlarged = picture && Math.max(picture.width, picture.height) < 100 ? ' class="small"' : '';
    const image = picture
      ? `<img src="${escapeHtml(picture.uri)}" alt="${escapeHtml(classes[truth])}"${enlarged}>`
      : '<div class="blank"></div>';
    return `<div class="mistake">${image}<div class="text"><div class="guess">${className(classes[guess])} ${percent(probability, 0)}</div>
<div>is ${className(classes[truth])} (${percent(truthProbability)})</div><div class="name" title="${escapeHtml(name)}">${escapeHtml(name)}</div></div></div>`;
  });
  return `<h2>The worst mistakes</h2>
<p class="note">The worst first: what each picture was taken for, and below what it is and how likely that was thought.</p>
<div class="mistakes">${cards.join('')}</div>`;
}

function classSection({ confusion, classes }: ReportData): string {
  if (!confusion) return '';
  const rows = confusion
    .perClass()
    .map((row, c) => ({ ...row, name: classes[c] }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => a.correct / a.count - b.correct / b.count || (a.name < b.name ? -1 : 1))
    .map(({ name, count, correct, guessed }) => {
      const recall = correct / count;
      return (
        `<tr><td>${className(name)}</td><td class="number">${count}</td><td class="number">${percent(recall)}</td>` +
        `<td class="bar"><i style="width:${(100 * recall).toFixed(1)}%"></i></td>` +
        `<td class="number">${percent(guessed > 0 ? correct / guessed : undefined)}</td></tr>`
      );
    });
  const head =
    '<tr><th>class</th><th class="number">pictures</th><th class="number">recognised</th><th class="bar"></th><th class="number">right when guessed</th></tr>';
  const table = (part: readonly string[]) => `<div class="card scroll"><table>${head}${part.join('')}</table></div>`;
  const rest = rows.slice(SHOWN_CLASSES);
  const folded =
    rest.length > 0 ? `<details><summary>${rest.length} more classes</summary>${table(rest)}</details>` : '';
  return `<h2>Class by class</h2><p class="note">The hardest first.</p>${table(rows.slice(0, SHOWN_CLASSES))}${folded}`;
}

/** Settings within settings as one list of names and values. */
function flattened(value: unknown, name: string): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const text = Array.isArray(value)
      ? value.map((v) => (typeof v === 'object' ? JSON.stringify(v) : String(v))).join(', ')
      : String(value);
    return [[name, value === null ? '–' : text]];
  }
  return Object.entries(value).flatMap(([key, inner]) => flattened(inner, name ? `${name}.${key}` : key));
}

function pairs(list: readonly (readonly [string, string])[]): string {
  const rows = list.map(
    ([name, value]) => `<div><span>${escapeHtml(name)}</span><code>${escapeHtml(value)}</code></div>`,
  );
  return `<div class="card settings">${rows.join('')}</div>`;
}

function unreadableSection({ unreadable = [] }: ReportData): string {
  if (unreadable.length === 0) return '';
  const list = unreadable.slice(0, 200).map(({ name, reason }) => [name, reason] as const);
  const note = unreadable.length > list.length ? ` The first ${list.length} of ${unreadable.length}.` : '';
  return `<h2>Unreadable pictures: ${unreadable.length}</h2><p class="note">They were skipped.${note}</p>${pairs(list)}`;
}

/** A report of a training as one HTML page that needs nothing else: no network, no script. */
export function renderReport(data: ReportData): string {
  const { title, facts = [], settings } = data;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${facts.map(([name, value]) => `${escapeHtml(name)}: ${escapeHtml(value)}`).join(' · ')}</p>
${tiles(data)}
${charts(data)}
${confusionSection(data)}
${mistakeSection(data)}
${classSection(data)}
${unreadableSection(data)}
${settings ? `<h2>Settings</h2>${pairs(flattened(settings, ''))}` : ''}
</body>
</html>
`;
}
