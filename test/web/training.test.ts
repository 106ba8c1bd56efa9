import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { createModel } from '../../src/models/registry.js';
import { compile } from '../../src/nn/compile.js';
import { TrainingStep } from '../../src/train/step.js';
import type * as training from '../../src/web-train.js';
import { type Chromium, startChromium } from './chromium.js';

type Training = Pick<typeof training, 'compile' | 'createModel' | 'TrainingStep'>;

/** Some steps of a small network on one batch, and what it answers then: the same text in Node and, sent there, in a page. */
async function trained({ createModel, TrainingStep, compile }: Training, threads: number) {
  const input = [4, 3, 32, 32];
  const model = createModel('repghostnet_050', { width: 0.3, classes: 5, dropout: 0 }).initialize(7);
  const step = await TrainingStep.create(model, { input, optimizer: { name: 'sgd', momentum: 0.9 }, threads });
  const images = Float32Array.from({ length: 4 * 3 * 32 * 32 }, (_, i) => Math.sin(12.9898 * i));
  const targets = Float32Array.from({ length: 20 }, (_, i) => (i % 5 === (i / 5) >> 0 ? 1 : 0));
  const losses = [];
  for (let i = 0; i < 8; i++) losses.push(step.run({ images, targets, learningRate: 0.01 }).loss);
  step.writeTo();
  const used = step.threads;
  step.close();
  const net = await compile(model, { input });
  return { losses, used, logits: [...net.run({ image: images }).logits.data] };
}

const apart = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((v, i) => Math.abs(v - b[i])));

describe.skipIf(await whyNoBrowser())('training in a page', () => {
  let chromium: Chromium;
  beforeAll(async () => {
    chromium = await startChromium();
  });
  afterAll(() => chromium?.close());

  it.each([
    ['open', 1],
    ['isolated', 2],
  ] as const)('gives what it gives in Node, on a page that is %s', async (name, threads) => {
    const { page, site } = chromium;
    await page.goto(`${site.url}/${name}/page.html`);
    const code = `import('/${name}/ghostkit/runtime/web-train.js').then((all) => (${trained})(all, 2))`;
    const there = (await page.evaluate(code)) as Awaited<ReturnType<typeof trained>>;
    const here = await trained({ createModel, TrainingStep, compile }, 1);
    expect(there.used).toBe(threads);
    expect(here.losses[7]).toBeLessThan(here.losses[0]);
    expect(apart(there.losses, here.losses)).toBeLessThan(1e-5);
    expect(apart(there.logits, here.logits)).toBeLessThan(1e-4);
  });
});
