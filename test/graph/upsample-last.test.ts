import { describe, expect, it } from 'vitest';
import { upsampleLast } from '../../src/graph/passes/upsample-last.js';
import { type Graph, type Value, valuesOf } from '../../src/graph/value.js';
import { macsOf } from '../../src/nn/compile.js';
import * as ops from '../../src/ops/index.js';
import { applied, graphOf, Layers } from './support.js';

const shape = [2, 4, 5, 6];
const order = (graph: Graph) => valuesOf(graph).flatMap(({ op: { name } }) => (/conv|resize/.test(name) ? name : []));

describe('upsampleLast', () => {
  it('computes a pointwise convolution before its pixels are repeated', () => {
    const layers = new Layers();
    const graph = graphOf(shape, (x) => layers.conv(ops.upsampleNearest(x, 2), 3, 1, { bias: true }));
    const moved = applied(upsampleLast, graph);
    expect(order(moved)).toEqual(['conv2d', 'resize']);
    expect(macsOf(graph)).toBe(4 * macsOf(moved));
  });

  it('leaves alone what is not the same', () => {
    const layers = new Layers();
    const up = (x: Value) => ops.upsampleNearest(x, 2);
    const kept: ((x: Value) => Value)[] = [
      (x) => layers.conv(up(x), 3, 3, { padding: 1 }),
      (x) => layers.conv(up(x), 3, 1, { padding: 1 }),
      (x) => layers.conv(up(x), 3, 1, { stride: 2 }),
      (x) => layers.conv(ops.resizeNearest(x, [3, 3]), 3, 1),
      (x) => layers.conv(ops.resizeBilinear(x, [10, 12]), 3, 1),
      // The upsampled image is needed anyway.
      (x) => {
        const image = up(x);
        return ops.concat([layers.conv(image, 3, 1), image]);
      },
    ];
    for (const build of kept) {
      expect(order(applied(upsampleLast, graphOf(shape, build)))).toEqual(['resize', 'conv2d']);
    }
  });
});
