import { describe, expect, it } from 'vitest';
import { metadataLines } from '../../src/cli/info-metadata.js';
import { preprocessingMetadata } from '../../src/data/preprocessing.js';
import { IMAGENET } from '../../src/data/transform.js';
import { METADATA } from '../../src/formats/metadata.js';

const words = (metadata: Record<string, string>) => Object.fromEntries(metadataLines(metadata));

describe('the metadata that info shows', () => {
  it('is in words where ghostkit wrote it', () => {
    const lines = words({
      [METADATA.model]: 'ghostnet_100',
      ...preprocessingMetadata({ ...IMAGENET, size: 96, cropRatio: 0.875 }),
      [METADATA.labels]: JSON.stringify(['tench, Tinca tinca', 'goldfish', 'shark', 'ray', 'cock']),
      [METADATA.result]: JSON.stringify({ epoch: 3, which: 'average', top1: 0.51484, top5: 0.7674, pictures: 1000 }),
    });
    expect(lines.classes).toBe('5: tench · goldfish · shark · …');
    expect(lines.pictures).toMatch(/^96 x 96, the middle 87\.5 %, \w+, mean 0\.485 0\.456 0\.406, std 0\.229/);
    expect(lines.result).toBe('51.48 % top-1, 76.74 % top-5 of 1000 pictures, in epoch 4');
    expect(lines).not.toHaveProperty('metadata');
  });

  it('is what stands there where it is something else, cut and without control characters', () => {
    const long = `[${'1,'.repeat(500)}1]`;
    const lines = metadataLines({
      [METADATA.labels]: long,
      [METADATA.preprocessing]: '{"size":1e9}',
      [METADATA.result]: 'null',
      note: 'a\u001b[31mb',
      constructor: 'x',
    });
    expect(lines.map(([name]) => name)).toEqual(['metadata', '', '', '', '']);
    expect(lines[0][1].length).toBeLessThan(100);
    expect(lines[1][1]).toBe('ghostkit.preprocessing = {"size":1e9}');
    expect(lines[2][1]).toBe('ghostkit.result = null');
    expect(lines[4][1]).toBe('constructor = x');
    expect(lines[3][1]).not.toContain('\u001b');
  });
});
