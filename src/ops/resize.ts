import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { needRank } from './shapes.js';

export interface ResizeAttrs {
  readonly mode: 'nearest' | 'bilinear';
  /** Bilinear: whether the corner pixels' centres stay in place (PyTorch's `align_corners`), or the images' outer edges. */
  readonly alignCorners: boolean;
  /** Height and width of the result. */
  readonly size: readonly [number, number];
}

/** `x: [N,C,H,W]` at another size, as PyTorch's `interpolate` without antialiasing. */
export const resizeOp = defineOperator<ResizeAttrs>({
  name: 'resize',
  shape([x], { size }) {
    needRank('resize', 'the input', x, 4);
    if (size.some((d) => !Number.isInteger(d) || d < 1)) {
      throw new GhostkitError(`resize: a size of positive integers is needed, got ${formatShape(size)}`);
    }
    return [x[0], x[1], ...size];
  },
  reference([x], { attrs, shape: [n, c, oh, ow] }) {
    const [, , h, w] = x.shape;
    const rows = samples(h, oh, attrs);
    const columns = samples(w, ow, attrs);
    const y = new Float64Array(n * c * oh * ow);
    let at = 0;
    for (let plane = 0; plane < n * c; plane++) {
      for (const row of rows) {
        const top = (plane * h + row.first) * w;
        const bottom = (plane * h + row.second) * w;
        for (const { first, second, share } of columns) {
          const above = x.data[top + first] * (1 - share) + x.data[top + second] * share;
          const below = x.data[bottom + first] * (1 - share) + x.data[bottom + second] * share;
          y[at++] = above * (1 - row.share) + below * row.share;
        }
      }
    }
    return y;
  },
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const [n, c, h, w] = value.inputs[0].shape;
    const [, , oh, ow] = value.shape;
    // Indices are exact in float32: no image has 2^24 rows.
    const table = (size: number, out: number) =>
      to.weights(Float32Array.from(samples(size, out, value.attrs).flatMap((s) => [s.first, s.second, s.share])));
    const bilinear = value.attrs.mode === 'bilinear' ? 1 : 0;
    to.emit(Opcode.Resize, [x, x.stride, y, y.stride, n, h, w, c, oh, ow, table(h, oh), table(w, ow), bilinear]);
  },
  onnx(value, to) {
    const { mode, alignCorners } = value.attrs;
    const [x] = value.inputs;
    const [, , h, w] = x.shape;
    const [, , oh, ow] = value.shape;
    // Scales rather than sizes leave the batch open; onnxruntime rounds the result's size down.
    const scales = to.initializer([4], Float32Array.of(1, 1, ratioFor(oh, h), ratioFor(ow, w)));
    const transformation = alignCorners ? 'align_corners' : 'half_pixel';
    return to.node('Resize', [to.name(x), '', scales], {
      ...(mode === 'nearest'
        ? { mode, coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }
        : { mode: 'linear', coordinate_transformation_mode: transformation }),
    });
  },
});

/** Which two input pixels an output pixel is between, and the second one's share. */
interface Sample {
  readonly first: number;
  readonly second: number;
  readonly share: number;
}

/** For every output pixel along one dimension what it is made of. */
function samples(size: number, out: number, { mode, alignCorners }: ResizeAttrs): Sample[] {
  return Array.from({ length: out }, (_, i) => {
    if (mode === 'nearest') {
      // In float32, as PyTorch: at whole numbers a product in double precision may fall on the other side.
      const first = Math.min(Math.floor(Math.fround(i * Math.fround(size / out))), size - 1);
      return { first, second: first, share: 0 };
    }
    const at = alignCorners
      ? out > 1
        ? (i * (size - 1)) / (out - 1)
        : 0
      : Math.max(((i + 0.5) * size) / out - 0.5, 0);
    const first = Math.min(Math.floor(at), size - 1);
    return { first, second: Math.min(first + 1, size - 1), share: at - first };
  });
}

/** A float32 ratio with `floor(size * ratio) === out`, in single and in double precision. */
function ratioFor(out: number, size: number): number {
  let ratio = Math.fround(out / size);
  while (size * ratio < out) ratio = Math.fround(ratio * (1 + 2 ** -23));
  return ratio;
}

function resize(x: Value, size: readonly [number, number], rest: Omit<ResizeAttrs, 'size'>): Value {
  return x.shape[2] === size[0] && x.shape[3] === size[1] ? x : apply(resizeOp, [x], { ...rest, size });
}

/** The nearest input pixel at or above and left of each output pixel (`mode='nearest'`). */
export function resizeNearest(x: Value, size: readonly [number, number]): Value {
  return resize(x, size, { mode: 'nearest', alignCorners: false });
}

/** Between the four input pixels around each output pixel (`mode='bilinear'`). */
export function resizeBilinear(x: Value, size: readonly [number, number], { alignCorners = false } = {}): Value {
  return resize(x, size, { mode: 'bilinear', alignCorners });
}

/** Every pixel `factor` times in both directions (`nn.Upsample(scale_factor=factor)`). */
export function upsampleNearest(x: Value, factor: number): Value {
  return resizeNearest(x, [x.shape[2] * factor, x.shape[3] * factor]);
}
