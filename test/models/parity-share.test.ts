import { describe, expect, it } from 'vitest';
import { Share } from '../../scripts/parity/share.mjs';

const result = (...data: number[]) => ({ shape: [data.length], data: Float32Array.from(data) });
const golden = (...values: number[]) => ({ shape: [values.length], values });

describe('comparing outputs of which a few values may be anything', () => {
  const share = (allowed = 0.75) => new Share({ bound: 0.1, share: allowed, meanBound: 1 });

  it('counts the values of all outputs together', () => {
    const s = share();
    s.compare('a', golden(1, 2), result(1, 2));
    s.compare('b', golden(3, 4), result(3, 6));
    expect(s.verdict()).toMatchObject({ ok: true, within: 0.75, meanError: 0.5, maxError: 2 });
    s.compare('c', golden(5), result(9));
    expect(s.verdict()).toMatchObject({ ok: false, error: expect.stringContaining('only 60.00 % of the values') });
  });

  it('wants masks to be exact, and does not count them', () => {
    const s = share();
    s.compare('M_Ah', golden(1, 0), result(1, 0), { exact: true });
    expect(s.verdict()).toMatchObject({ ok: false, error: 'no output to compare; the mean deviation is NaN' });
    s.compare('M_Ai', golden(1, 0), result(1, 1e-6), { exact: true });
    expect(s.verdict().error).toContain('M_Ai is off by');
  });

  it('takes no NaN for right, and looks at the mean of what has no values', () => {
    const nan = share(0);
    nan.compare('a', golden(1, 2), result(1, Number.NaN));
    expect(nan.verdict()).toMatchObject({ ok: false, maxError: null });
    const moments = share();
    moments.compare('a', { ...golden(1), indices: [0], shape: [2], mean: 1 }, result(1, 5));
    expect(moments.verdict().error).toContain('the mean is off by');
  });

  it('says what does not fit', () => {
    expect(() => share().compare('a', golden(1), undefined)).toThrow('a: there is no such output');
    expect(() => share().compare('a', golden(1), result(1, 2))).toThrow('a: shape [2], expected [1]');
    expect(() => share().compare('a', { shape: [2], values: [1] }, result(1, 2))).toThrow('1 values for 2 elements');
  });
});
