import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { explainError } from '../../src/cli/errors.js';
import {
  formatBytes,
  formatCount,
  formatMs,
  formatPairs,
  formatTable,
  printJson,
  writeLine,
} from '../../src/cli/output.js';
import { progress } from '../../src/cli/progress.js';
import { GhostkitError } from '../../src/tensor/error.js';

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

/** What moves a terminal's cursor, or the text around it. */
const MOVING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

describe('names of strangers', () => {
  const evil = '\u001b]0;title\u0007\u009b31m\u202e\u2028\r\n';
  const name = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(evil, `a${evil}`));
  const withoutLines = (text: string) => text.replaceAll('\n', '');

  it('move no cursor, in tables, lines and errors', () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        let line = '';
        writeLine({ write: (text) => (line += text) }, a);
        expect(line.split('\n')).toHaveLength(2);
        const table = formatTable([{ title: 'one' }, { title: 'two' }], [[a, b]]);
        expect(table.split('\n')).toHaveLength(3);
        const pairs = formatPairs([[a, b]]);
        expect(pairs.split('\n')).toHaveLength(2);
        const { line: error = '' } = explainError(new GhostkitError(`${a}: ${b}`));
        const { line: unexpected = '' } = explainError(new TypeError(`${a}: ${b}`));
        for (const text of [line, table, pairs]) expect(withoutLines(text)).not.toMatch(MOVING);
        for (const text of [error, unexpected]) expect(text).not.toMatch(MOVING);
      }),
    );
  });

  it('are the same in JSON, though none of them moves a cursor', () => {
    fc.assert(
      fc.property(name, (text) => {
        let written = '';
        const sink = { write: (json: string) => (written += json) };
        printJson({ out: sink, err: sink }, { [text]: [text] });
        expect(withoutLines(written)).not.toMatch(MOVING);
        expect(JSON.parse(written)).toEqual({ [text]: [text] });
      }),
    );
  });
});

describe('an error', () => {
  const lineOf = (message: string) => explainError(new GhostkitError(message)).line;

  it('is one line', () => {
    expect(lineOf('one\n  two \r\n\n three\n')).toBe('one two three');
  });

  // A pattern that looks for line breaks between spaces looks at each run of them from each of its ends.
  it('is cut in its middle where it is long, however it is made', () => {
    for (const filling of [' ', ' \n', '\t \r', 'x']) {
      const line = lineOf(`a/path${filling.repeat(100_000)}: the reason`);
      expect(line).toMatch(/^a\/path.*…?.*: the reason$/);
      expect(line?.length).toBeLessThan(5000);
    }
  }, 5000);

  it('of memory says what needs less of it', () => {
    let error: unknown;
    try {
      new Float32Array(2 ** 52);
    } catch (thrown) {
      error = thrown;
    }
    expect(explainError(error).line).toMatch(/^there is not enough memory for this; smaller pictures/);
    expect(explainError(new RangeError('Invalid array length')).line).toMatch(/^unexpected: /);
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
