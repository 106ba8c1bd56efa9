import { describe, expect, it } from 'vitest';
import { compareOutput, Worst } from '../../scripts/parity/compare.mjs';
import { networkOf } from '../../scripts/parity/network.mjs';

describe('the network of a golden file', () => {
  const of = (model: string, variant: string | undefined, config: object) => networkOf({ model, variant, config });

  it('is told by its variant', () => {
    expect(of('RepGhostNet', 'repghostnet_0_58x', {})).toEqual({
      family: 'repghostnet',
      options: { width: 0.58, reparam: 'bn' },
    });
    expect(of('RepGhostNet', 'repghostnet_repid_0_5x', { width: 0.8 })?.options).toEqual({
      width: 0.8,
      reparam: 'identity',
    });
    expect(of('RepGhostNet', 'repghostnet_norep_0_5x', {})?.options).toMatchObject({ reparam: 'none' });
    expect(of('RepGhostNet', 'repghostnet_wo_0_5x', {})?.options).toMatchObject({ shortcut: false });
    expect(of('GhostNet', undefined, { width: 1.3, numClasses: 5 })).toEqual({
      family: 'ghostnet',
      options: { width: 1.3, classes: 5 },
    });
  });

  it('is told by its configuration', () => {
    const reparam = (config: object) => of('RepGhostNet', undefined, config)?.options.reparam;
    expect(reparam({ reparam: false, reparam_bn: true })).toBe('none');
    expect(reparam({ reparam_bn: false, reparam_identity: true })).toBe('identity');
    expect(reparam({ reparam_identity: true })).toBe('bn+identity');
    expect(reparam({ reparam_bn: false })).toBe('none');
    expect(reparam({ reparam: 'identity' })).toBe('identity');
    expect(reparam({ deploy: true })).toBe('merged');
    expect(of('RepGhostNet', undefined, { enable_se: false, shortcut: false })?.options).toMatchObject({
      squeezeExcite: false,
      shortcut: false,
    });
  });

  it('may be none of ours', () => {
    expect(of('GhostNetV2', undefined, {})).toBeUndefined();
    expect(networkOf({})).toBeUndefined();
  });
});

describe('comparing an output', () => {
  const compare = (expected: object, data: number[]) => {
    const worst = new Worst(1e-4);
    compareOutput(worst, 'logits', expected, { shape: [1, data.length], data: Float32Array.from(data) });
    return worst.verdict();
  };
  const golden = { shape: [1, 2], mean: 2, std: 1, absMax: 3, values: [1, 3] };

  it('is relative to the largest element', () => {
    expect(compare(golden, [1, 3])).toMatchObject({ ok: true, maxError: 0 });
    expect(compare(golden, [1.0002, 3])).toMatchObject({ ok: true });
    expect(compare(golden, [1.0004, 3])).toMatchObject({ ok: false });
    expect(compare({ shape: [1, 2], indices: [1], values: [3] }, [7, 3])).toMatchObject({ ok: true });
    expect(compare({ ...golden, values: undefined, absMax: 3.1 }, [1, 3])).toMatchObject({ ok: false });
  });

  it('never takes what is not a number', () => {
    expect(compare({ ...golden, indices: [1], values: [3] }, [Number.NaN, 3])).toMatchObject({
      ok: false,
      maxError: null,
    });
    expect(compare(golden, [1, Number.POSITIVE_INFINITY]).ok).toBe(false);
    expect(() => compare({ ...golden, values: [null, 3] }, [1, 3])).toThrow('null is not a number');
  });

  it('says what is malformed', () => {
    expect(() => compare({ ...golden, shape: [2, 1] }, [1, 3])).toThrow('shape [1,2], expected [2,1]');
    expect(() => compare({ ...golden, values: [1] }, [1, 3])).toThrow('1 values for 2 elements');
    expect(() => compare({ ...golden, indices: [5], values: [1] }, [1, 3])).toThrow('no element 5');
    expect(() => compare({ shape: [1, 2] }, [1, 3])).toThrow('nothing to compare with');
    expect(() => compareOutput(new Worst(1), 'blocks.99', golden, undefined)).toThrow('no such output');
  });
});
