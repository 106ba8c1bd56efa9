import { describe, expect, it } from 'vitest';
import { launchChromium, whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { ConfusionMatrix } from '../../src/train/metrics.js';
import {
  bestEpoch,
  bestEvaluation,
  type EpochMetrics,
  formatMetrics,
  parseMetrics,
} from '../../src/train/metrics-log.js';
import { lineChart, niceTicks } from '../../src/train/report/chart.js';
import { className, duration, escapeHtml, percent, short } from '../../src/train/report/html.js';
import { type ReportData, renderReport, thumbnail } from '../../src/train/report/report.js';
import { pattern } from '../support/pictures.js';

const row = (epoch: number, more: Partial<EpochMetrics> = {}): EpochMetrics => ({
  ...{ epoch, lr: 0.1, trainLoss: 2, seconds: 10, imagesPerSecond: 100 },
  ...more,
});

describe('the metrics file', () => {
  it('is read back, the last of an epoch, without the line that was cut off', () => {
    const rows = [row(0), row(1, { valTop1: 0.3 }), row(2)];
    const text = `${rows.map(formatMetrics).join('')}${formatMetrics(row(1, { valTop1: 0.4 }))}{"epoch":3,"lr`;
    expect(parseMetrics(text)).toEqual([row(0), row(1, { valTop1: 0.4 }), row(2)]);
    expect(parseMetrics('{"note":1}\nnull\n\n')).toEqual([]);
  });

  it('has a best epoch: the averaged weights count too', () => {
    expect(bestEpoch([row(0, { valTop1: 0.5 }), row(1, { valTop1: 0.4, emaTop1: 0.6 }), row(2)])?.epoch).toBe(1);
    expect(bestEpoch([row(0), row(1)])).toBeUndefined();
    // As the trainer keeps them: of as many right answers those with the lower loss.
    const ties = [
      row(0, { valTop1: 0.7, valLoss: 0.9 }),
      row(1, { valTop1: 0.7, valLoss: 0.8, emaTop1: 0.7, emaLoss: 0.6 }),
      row(2, { valTop1: 0.7, valLoss: 0.8 }),
    ];
    expect(bestEpoch(ties)?.epoch).toBe(1);
    expect(bestEvaluation(ties)).toMatchObject({ epoch: 1, which: 'average', loss: 0.6 });
  });
});

describe('numbers for people', () => {
  it('are short', () => {
    expect([0, 0.05, 1e-4, 4.3105, 1234567, 0.00012345].map(short)).toEqual([
      '0',
      '0.05',
      '1e-4',
      '4.31',
      '1.23e6',
      '1.23e-4',
    ]);
    expect([45, 200, 1238, 7500, 3599].map((s) => duration(s).replaceAll('\u00a0', ' '))).toEqual([
      ...['45 s', '3 min 20 s', '21 min', '2 h 5 min', '1 h'],
    ]);
    expect([0.613, 0, 1e-6, undefined, Number.NaN].map((v) => percent(v).replaceAll('\u00a0', ' '))).toEqual([
      ...['61.3 %', '0.0 %', '< 0.1 %', '–', '–'],
    ]);
    expect(className('tench, Tinca tinca')).toBe('<span title="tench, Tinca tinca">tench</span>');
  });

  it('have round ticks that cover them', () => {
    expect(niceTicks(0, 0.87, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(niceTicks(0.53, 2.31, 5)).toEqual([0.5, 1, 1.5, 2, 2.5]);
    expect(niceTicks(3, 3, 5).length).toBeGreaterThan(1);
    expect(niceTicks(0, 0, 5).length).toBeGreaterThan(1);
  });
});

describe('a chart', () => {
  const options = { title: 'Loss', format: short };

  it('goes on over what was not measured, with gaps where a value is no number', () => {
    const values = [1, undefined, 3, 4, Number.NaN, 2, Number.NaN];
    const svg = lineChart([{ name: 'a', tone: 'first', values }], options);
    const point = '[\\d.]+ [\\d.]+';
    expect(svg.match(/d="([^"]*)"/)?.[1]).toMatch(new RegExp(`^M${point}L${point}L${point}M${point}h\\.1$`));
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(svg).toContain('epoch 3\na: 3');
  });

  it('copes with one point, none, and values that are all the same', () => {
    expect(lineChart([{ name: 'a', tone: 'first', values: [2] }], options)).not.toMatch(/NaN|Infinity/);
    expect(lineChart([{ name: 'a', tone: 'first', values: [2, 2, 2] }], options)).not.toMatch(/NaN|Infinity/);
    expect(lineChart([{ name: 'a', tone: 'first', values: [undefined] }], options)).toContain('no data');
  });
});

const missing = await whyNoBrowser();

describe('the report', () => {
  const classes = ['cat <b>', 'dog & "co"', "bird's"];
  const confusion = new ConfusionMatrix(3);
  for (const [truth, guess] of [
    [0, 0],
    [0, 1],
    [1, 1],
    [2, 0],
  ])
    confusion.add(truth, guess);
  const data: ReportData = {
    ...{ title: 'A <training>', classes, confusion },
    metrics: [row(0, { valTop1: 0.25, valTop5: 0.8, emaTop1: 0.2 }), row(1, { valTop1: 0.5, valTop5: 0.9 })],
    settings: {
      model: 'm',
      optimizer: { lr: 0.1 },
      std: [0.2435, 0.08, 1],
      sizes: [{ until: 3, size: 32 }],
      none: null,
    },
    facts: [['machine', 'this <one>']],
    unreadable: [{ name: 'a/1.jpg', reason: 'damaged' }],
  };

  it('is one page that loads nothing and runs nothing', async () => {
    const picture = await thumbnail(pattern(300, 100));
    expect([picture.width, picture.height]).toEqual([160, 53]);
    const mistakes = [
      { index: 4, truth: 2, guess: 0, probability: 0.9, truthProbability: 0.01, name: 'x<y>.jpg', picture },
    ];
    const html = renderReport({ ...data, mistakes });
    expect(html).not.toMatch(/<script|https?:|url\(|@import/);
    expect(html.match(/<img src="([^"]{20})/)?.[1]).toBe('data:image/webp;base');
    expect(html).not.toMatch(/undefined|NaN|<b>'|<training>|<one>|x<y>/);
    for (const text of [
      '50.0\u00a0%',
      'best top-1, epoch 2',
      'cat &lt;b&gt;',
      'optimizer.lr',
      '0.2435, 0.08, 1',
      'a/1.jpg',
    ]) {
      expect(html).toContain(text);
    }
    expect(html).toContain('{&quot;until&quot;:3,&quot;size&quot;:32}');
  });

  it('has a matrix of few classes, and only the confusions of many', () => {
    expect(renderReport(data)).toContain('class="matrix"');
    const many = new ConfusionMatrix(60);
    for (let i = 0; i < 60; i++) many.add(i, (i * 7) % 60);
    const html = renderReport({
      ...data,
      confusion: many,
      classes: Array.from({ length: 60 }, (_, i) => `class ${i}`),
    });
    expect(html).not.toContain('class="matrix"');
    expect(html).toContain('taken for</th>');
    expect(html).toContain('40 more classes');
  });

  it('tells which epoch the confusions and mistakes are of', () => {
    expect(renderReport({ ...data, epoch: 4 })).toContain('the network of epoch 5.');
  });

  it.skipIf(missing)('fits a phone, with its words whole', async () => {
    const settings = { ...data.settings, augmentation: { crop: { interpolation: 'bilinear' } } };
    const browser = await launchChromium();
    const page = await browser.newPage({ viewport: { width: 360, height: 740 } });
    await page.setContent(renderReport({ ...data, title: 'Fine-tuning of mobilenetv3_small_100', settings }));
    const found = await page.evaluate(() => ({
      width: document.documentElement.scrollWidth,
      cutOff: [...document.querySelectorAll('.scroll')].filter((card) => card.scrollWidth > card.clientWidth).length,
      lines: [...document.querySelectorAll('.settings code')].map((value) => value.getBoundingClientRect().height),
    }));
    await browser.close();
    expect(found).toMatchObject({ width: 360, cutOff: 0 });
    expect(Math.max(...found.lines)).toBeLessThan(30);
  });

  it('can be made of nothing', () => {
    const html = renderReport({ title: 'empty', metrics: [], classes: [] });
    expect(html).toContain('no data');
    expect(html).not.toMatch(/undefined|NaN/);
  });

  it('escapes', () => {
    expect(escapeHtml(`<a href="x">'&`)).toBe('&lt;a href=&quot;x&quot;&gt;&#39;&amp;');
  });
});
