import { describe, expect, it } from 'vitest';
import { parseLabels } from '../../src/data/labels.js';

describe('parseLabels', () => {
  it.each([
    ['one a line', 'cat\ndog\n'],
    ['one a line, from Windows', '\uFEFFcat\r\ndog\r\n'],
    ['an array', '["cat", "dog"]'],
    ['an object', ' {"1": "dog", "0": "cat"}'],
    ["Keras' index", '{"0": ["n02121808", "cat"], "1": ["n02084071", "dog"]}'],
  ])('reads %s', (_, text) => {
    expect(parseLabels(text)).toEqual(['cat', 'dog']);
  });

  it('keeps an empty line in the middle: it is a class without a name', () => {
    expect(parseLabels('cat\n\ndog')).toEqual(['cat', '', 'dog']);
  });

  it.each([
    ['', 'the file is empty'],
    ['["cat", 3]', 'the label of class 1 is not a string'],
    ['{"0": "cat", "2": "dog"}', 'there is no class 1 among the 2 of the file'],
    ['{"0": null}', 'the label of "0" is not a string'],
    ['["cat"', 'the file begins like JSON but is none'],
  ])('refuses %j', (text, message) => {
    expect(() => parseLabels(text)).toThrow(message);
  });

  it('cuts a long name in what it says', () => {
    const text = JSON.stringify({ ['k\n'.repeat(5000)]: 1 });
    expect(() => parseLabels(text)).toThrow(`the label of "${'k\\u{a}'.repeat(50)}…" is not a string`);
  });

  it('refuses more than a million', () => {
    expect(parseLabels('a\n'.repeat(1_000_000))).toHaveLength(1_000_000);
    expect(() => parseLabels('a\n'.repeat(1_000_001))).toThrow('1000001 labels; the limit is 1000000');
  });
});
