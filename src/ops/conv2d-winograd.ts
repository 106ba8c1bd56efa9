import type { Lowering } from '../graph/lowering.js';
import type { Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { activationCode } from './activation.js';
import { type Conv2dAttrs, conv2dOperands } from './conv2d.js';
import { optionalRows, packedBias } from './conv2d-lowering.js';

/** See kernels/winograd.ts: the pointers' bytes, the tiles of a block, the products of a tile. */
const POINTER_FLOATS = 68;
const TILES = 48;
const POSITIONS = 36;
const GAP_FLOATS = 16;

/** Below this, transforming costs more than it saves. */
const LEAST_CHANNELS = 16;
const LEAST_TILES = 16;

/** Whether a convolution is lowered to Winograd's F(4x4, 3x3). */
export function suitsWinograd(value: Value<Conv2dAttrs>): boolean {
  const { stride, dilation, groups, scale } = value.attrs;
  const [outputs, channels, kernelHeight, kernelWidth] = value.inputs[1].shape;
  const [n, , height, width] = value.shape;
  return (
    kernelHeight === 3 &&
    kernelWidth === 3 &&
    groups === 1 &&
    !scale &&
    stride.every((s) => s === 1) &&
    dilation[0] === dilation[1] &&
    Math.min(outputs, channels) >= LEAST_CHANNELS &&
    n * Math.ceil(height / 4) * Math.ceil(width / 4) >= LEAST_TILES
  );
}

export function lowerWinograd(value: Value<Conv2dAttrs>, to: Lowering): void {
  const { x: input, weight, bias, residual } = conv2dOperands(value);
  const [outputs, channels] = weight.shape;
  const { padding, dilation, activation } = value.attrs;
  const [n, , h, w] = input.shape;
  const x = to.view(input);
  const y = to.view(value);
  const panels = Math.ceil(outputs / 8);
  const inputs = POSITIONS * (TILES * Math.ceil(channels / 4) * 4 + GAP_FLOATS);
  const products = POSITIONS * (panels * TILES * 8 + GAP_FLOATS);
  const scratch = POINTER_FLOATS + POSITIONS * 4 + inputs + products + 8;
  to.emit(Opcode.Winograd, [
    x,
    x.stride,
    y,
    y.stride,
    ...[n, h, w, channels, value.shape[2], value.shape[3], outputs, padding[0], padding[1]],
    to.weights(transformWeights(to.constant(weight), outputs, channels)),
    packedBias(bias, 0, outputs, to),
    ...optionalRows(residual, 0, to),
    activationCode(activation),
    to.scratch(scratch),
    4 * scratch,
    dilation[0],
  ]);
}

/** `G g Gᵀ` of every kernel, packed as `[position][panel of 8 outputs][channel][8]`. */
function transformWeights(weight: Float32Array, outputs: number, channels: number): Float32Array {
  const panels = Math.ceil(outputs / 8);
  const plane = panels * channels * 8;
  const packed = new Float32Array(POSITIONS * plane);
  const rows = new Float64Array(18);
  for (let panel = 0; panel < panels; panel++) {
    const used = Math.min(8, outputs - panel * 8);
    for (let c = 0; c < channels; c++) {
      // The outputs of a panel innermost: their results share cache lines in all 36 planes.
      for (let j = 0; j < used; j++) {
        transformKernel(
          weight,
          ((panel * 8 + j) * channels + c) * 9,
          rows,
          packed,
          (panel * channels + c) * 8 + j,
          plane,
        );
      }
    }
  }
  return packed;
}

/** The 36 values of one kernel at `from`, to `at` in each plane. */
function transformKernel(
  weight: Float32Array,
  from: number,
  rows: Float64Array,
  packed: Float32Array,
  at: number,
  plane: number,
): void {
  for (let j = 0; j < 3; j++) transformLine(weight[from + j], weight[from + 3 + j], weight[from + 6 + j], rows, j, 3);
  for (let i = 0; i < 6; i++) {
    transformLine(rows[i * 3], rows[i * 3 + 1], rows[i * 3 + 2], packed, i * 6 * plane + at, plane);
  }
}

/** Where the polynomials are evaluated, beside 0 and infinity; see kernels/winograd.ts. */
const A = 0.625;
const B = 1.5;

/** G of F(4x4, 3x3) times three values; the six results go to `to` from `at` on, `step` apart. */
function transformLine(
  a: number,
  b: number,
  c: number,
  to: Float32Array | Float64Array,
  at: number,
  step: number,
): void {
  const near = (a + A * A * c) / (2 * A * A * (A * A - B * B));
  const nearOdd = b / (2 * A * (A * A - B * B));
  const far = (a + B * B * c) / (2 * B * B * (B * B - A * A));
  const farOdd = b / (2 * B * (B * B - A * A));
  to[at] = a / (A * A * B * B);
  to[at + step] = near + nearOdd;
  to[at + 2 * step] = near - nearOdd;
  to[at + 3 * step] = far + farOdd;
  to[at + 4 * step] = far - farOdd;
  to[at + 5 * step] = c;
}
