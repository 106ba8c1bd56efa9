import { afterEach, describe, expect, it, vi } from 'vitest';
import { formatBytes, formatCount, formatMs, formatTable } from '../../src/cli/output.js';
import { progress } from '../../src/cli/progress.js';

describe('numbers for a person', () => {
  it.each([
    [0, '0'],
    [999, '999'],
    [67.42, '67.4'],
    [1000, '1.00 k'],
    [142_394_128, '142 M'],
    [5_182_508, '5.18 M'],
    [9_999_999, '10.0 M'],
    [999_900, '1.00 M'],
    [6.64e9, '6.64 G'],
  ])('%d is %s', (n, text) => {
    expect(formatCount(n)).toBe(text);
  });

  it('has units', () => {
    expect([12, 3870, 20_700_000].map(formatBytes)).toEqual(['12 B', '3.87 kB', '20.7 MB']);
    expect([0.314, 21.44, 314.2].map(formatMs)).toEqual(['0.31 ms', '21.4 ms', '314 ms']);
  });
});

describe('formatTable', () => {
  it('aligns columns, and leaves no space at the end of a line', () => {
    const columns = [{ title: 'name' }, { title: 'n', align: 'right' }] as const;
    expect(
      formatTable(columns, [
        ['ä', '1'],
        ['long', ''],
      ]),
    ).toBe('name  n\nä     1\nlong\n');
  });
});

describe('progress', () => {
  afterEach(() => vi.restoreAllMocks());

  /** What is written while 4 steps take `seconds` each. */
  function written(isTTY: boolean, seconds: number): string {
    let text = '';
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const bar = progress({ write: (s) => (text += s), isTTY }, 'runs', 4);
    for (let done = 1; done <= 4; done++) {
      now += seconds * 1000;
      bar.update(done);
    }
    bar.clear();
    return text;
  }

  it('shows a bar when a terminal waits for over a second, and takes it away', () => {
    const text = written(true, 2);
    expect(text).toContain('runs ██████░░░░░░░░░░░░░░░░░░ 1/4  6 s left');
    expect(text.endsWith('\r\x1b[K')).toBe(true);
  });

  it('shows nothing otherwise', () => {
    expect(written(false, 2)).toBe('');
    expect(written(true, 0.1)).toBe('');
  });
});
