import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../../src/formats/json.js';

describe('JSON of a file', () => {
  it('is what JSON.parse makes of it, and its outermost keys are told', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(3), (text, indent) => {
        const wanted: unknown = JSON.parse(text);
        const keys: string[] = [];
        expect(parseJson(JSON.stringify(wanted, undefined, indent), (key) => keys.push(key))).toEqual(wanted);
        const isRecord = typeof wanted === 'object' && wanted !== null && !Array.isArray(wanted);
        expect(keys).toEqual(isRecord ? Object.keys(wanted) : []);
      }),
    );
  });

  it('tells of a key as often as it is there, however it is written', () => {
    const keys: string[] = [];
    parseJson(String.raw`{"a\"b\\" : {"x": "y"}, "c": ["d", {"e": 1}], "\u0063" :"f"}`, (key) => keys.push(key));
    expect(keys).toEqual(['a"b\\', 'c', 'c']);
  });

  it('throws as JSON.parse does for what is none', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (text, at) => {
        const cut = text.slice(0, at % text.length);
        const of = (parse: (text: string) => unknown) => {
          try {
            return parse(cut);
          } catch (error) {
            return (error as Error).name;
          }
        };
        expect(of((t) => parseJson(t))).toEqual(of(JSON.parse));
      }),
    );
  });

  it('is refused before it is parsed where it is too deep or too much', () => {
    expect(() => parseJson('['.repeat(1e5))).toThrow('nested too deeply');
    expect(parseJson(`${'['.repeat(128)}${']'.repeat(128)}`)).toHaveLength(1);
    for (const part of ['{},', '[],', '"",', '0,']) {
      expect(() => parseJson(`[${part.repeat(2e6 + 1)}0]`)).toThrow('too many values');
    }
    // What stands in a string is one value.
    expect(parseJson(`["${'{},'.repeat(1e6)}"]`)).toHaveLength(1);
  });
});
