import { describe, expect, it } from 'vitest';
import {
  headMasks,
  type PartOptions,
  type PartPlan,
  planParts,
  planTrainingParts,
} from '../../../src/models/ghost2/blender-parts.js';
import { areaOf, type LabelMap } from '../../../src/models/ghost2/masks.js';

const [WIDTH, HEIGHT] = [160, 120];

/** `[left, top, width, height]` of each label, higher ones over lower ones. */
type Boxes = Readonly<Record<number, readonly [number, number, number, number]>>;

function labels(boxes: Boxes): LabelMap {
  const data = new Uint8Array(WIDTH * HEIGHT);
  for (const [label, [left, top, width, height]] of Object.entries(boxes)) {
    for (let y = top; y < top + height; y++) data.fill(Number(label), y * WIDTH + left, y * WIDTH + left + width);
  }
  return { width: WIDTH, height: HEIGHT, data };
}

/** A face with every part that is always there: skin, eyes, brows, nose, lips. */
const face: Boxes = {
  2: [10, 50, 100, 68],
  3: [15, 52, 15, 8],
  4: [45, 52, 15, 8],
  5: [15, 62, 12, 8],
  6: [45, 62, 12, 8],
  9: [12, 102, 70, 11],
  12: [80, 62, 25, 35],
};
const hair: Boxes = { 15: [0, 0, 140, 45] };

function plan(source: Boxes, target: Boxes, options?: PartOptions): Record<string, PartPlan> {
  const plans = planParts(labels({ ...face, ...source }), labels({ ...face, ...target }), options);
  return Object.fromEntries(plans.map((p) => [p.part, p]));
}

const same = (a: PartPlan, b: PartPlan) => expect([...a.target.data]).toEqual([...b.target.data]);

describe('the parts of a head', () => {
  it('take the colours of the same part when both have it', () => {
    const plans = plan(hair, hair);
    expect(Object.keys(plans).slice(0, 4)).toEqual(['hair', 'glasses', 'eyes', 'skin']);
    expect(Object.keys(plans)).toHaveLength(14);
    expect(Object.values(plans).some(({ copy }) => copy)).toBe(false);
    expect([...plans.hair.target.data]).toEqual([...labels(hair).data].map((v) => (v === 15 ? 1 : 0)));
  });

  it('hair: after the beard, else copied', () => {
    const beard: Boxes = { 14: [115, 60, 40, 30] };
    const borrowed = plan(hair, beard);
    expect(borrowed.hair.copy).toBe(false);
    same(borrowed.hair, borrowed.beard);
    expect(plan(hair, {}).hair.copy).toBe(true);
    // 30 x 30 is not more than 900: too small to lend its colour.
    expect(plan(hair, { 14: [115, 60, 30, 30] }).hair.copy).toBe(true);
  });

  it('brows: after the hair, else after the beard, else copied', () => {
    const bald: Boxes = { 3: [0, 0, 0, 0], 4: [0, 0, 0, 0] };
    same(plan({}, { ...bald, ...hair }).brows, plan({}, { ...bald, ...hair }).hair);
    const bearded = plan({}, { ...bald, 14: [115, 60, 40, 30] });
    same(bearded.brows, bearded.beard);
    expect(bearded.brows.copy).toBe(false);
    expect(plan({}, bald).brows.copy).toBe(true);
    // Hair that is not there was given the beard's pixels, too few for hair; the beard itself then lends them.
    const both = plan(hair, { ...bald, 14: [115, 60, 40, 30] });
    same(both.brows, both.beard);
  });

  it('beard, nose and ears: after the skin', () => {
    const more: Boxes = { 14: [115, 60, 40, 30], 10: [72, 70, 8, 20], 11: [0, 70, 8, 20] };
    const plans = plan(more, { 12: [0, 0, 0, 0] });
    for (const part of ['beard', 'earLeft', 'earRight', 'nose']) {
      expect(plans[part].copy, part).toBe(false);
      same(plans[part], plans.skin);
    }
  });

  it('teeth, glasses, hats, headphones, earrings, lips and eyes: copied', () => {
    const more: Boxes = {
      7: [12, 114, 30, 3],
      16: [80, 0, 40, 20],
      17: [80, 30, 20, 20],
      18: [80, 60, 20, 10],
      19: [80, 80, 5, 5],
    };
    const plans = plan(more, { 5: [0, 0, 0, 0], 6: [0, 0, 0, 0], 9: [0, 0, 0, 0] });
    const copied = Object.values(plans).filter(({ copy }) => copy);
    expect(copied.map(({ part }) => part)).toEqual([
      'glasses',
      'eyes',
      'lips',
      'teeth',
      'hat',
      'headphone',
      'earrings',
    ]);
  });

  it('what the source has not either is left alone, skin always', () => {
    const plans = plan({ 9: [0, 0, 0, 0] }, { 9: [0, 0, 0, 0], 2: [10, 50, 20, 20] });
    expect(plans.lips.copy).toBe(false);
    expect(areaOf(plans.lips.target)).toBe(0);
    expect(plans.skin.copy).toBe(false);
    expect(areaOf(plans.skin.target)).toBeGreaterThan(0);
  });

  it("the target's glasses are closed and taken from its skin, and eyes without glasses are copied with their rims", () => {
    const upper: Boxes = { 18: [12, 60, 40, 2] };
    const rims = labels({ ...face, ...upper });
    const lower = 80 * WIDTH;
    rims.data.fill(18, lower + 12, lower + 52);
    const named = (source: LabelMap) => Object.fromEntries(planParts(source, rims).map((p) => [p.part, p]));
    const plans = named(labels(face));
    const between = 74 * WIDTH + 29;
    expect(rims.data[between]).toBe(2);
    expect(plans.glasses.target.data[between]).toBe(1);
    expect(plans.skin.target.data[between]).toBe(0);

    expect(plans.eyes.copy).toBe(true);
    // Each box of 12x8 pixels grows by two pixels on each side, and by one at each corner.
    expect(areaOf(plans.eyes.source)).toBe(2 * (12 * 8 + 2 * 2 * (12 + 8) + 4));
    expect(plans.eyes.source.data.some((v, i) => v === 1 && plans.skin.source.data[i] === 1)).toBe(false);
    expect(named(labels({ ...face, ...upper })).eyes.copy).toBe(false);
  });

  it('attributes are copied when that is asked for', () => {
    const plans = plan(hair, hair, { copyAttributes: true });
    const copied = Object.values(plans).filter(({ copy }) => copy);
    expect(copied.map(({ part }) => part)).toEqual([
      'hair',
      'glasses',
      'brows',
      'lips',
      'hat',
      'headphone',
      'earrings',
    ]);
  });

  it('of training are coarser and have no rules', () => {
    const plans = planTrainingParts(labels({ ...face, 14: [115, 60, 9, 9], 16: [80, 0, 9, 9] }), labels(face));
    expect(plans.map(({ part }) => part).join()).toBe('skin,hair,eyes,brows,ears,nose,lips,teeth');
    expect(areaOf(plans[1].source)).toBe(81);
    expect(areaOf(plans[1].target)).toBe(0);
    expect(plans.some(({ copy }) => copy)).toBe(false);
  });
});

describe('the masks around the heads', () => {
  it('fill what neither the new head nor the background covers', () => {
    const source = labels({ 2: [40, 40, 10, 10], 13: [40, 50, 10, 9], 1: [30, 60, 40, 20] });
    const target = labels({ 15: [44, 40, 20, 10] });
    const masks = headMasks(source, target);
    expect(areaOf(masks.head)).toBe(100);
    expect(areaOf(masks.dilated)).toBe((24 + 16) * (10 + 16));
    expect(areaOf(masks.fill)).toBe((24 + 16) * (10 + 16) - 100);
    expect(areaOf(masks.targetDilated)).toBe((20 + 16) * (10 + 16));
    expect(areaOf(masks.targetMargin)).toBe((20 + 16) * (10 + 16) - 200);
    const noise = labels({ 1: [100, 100, 2, 2] });
    expect(areaOf(headMasks(source, target, { source: noise }).fill)).toBe(areaOf(masks.fill) + 18 * 18);
  });

  it('want parsings of one size', () => {
    const small = { width: 1, height: 1, data: Uint8Array.of(0) };
    expect(() => headMasks(labels({}), small)).toThrow('the parsings of source and target: 160x120 and 1x1 pixels');
    expect(() => planParts(labels({}), small)).toThrow('must be the same');
  });
});
