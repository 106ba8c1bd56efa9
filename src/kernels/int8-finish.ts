import { arg, floatArg } from './args';
import { clamped, MAGIC, narrow, scaled, storeTwo } from './int8-ends';
import { storeBytes } from './int8-vector';
import { activate, storeLanes } from './vector';

// The end of an int8 convolution: sums of 32 bits become int8 (or float) results. The arguments are those of int8-conv.ts, `k` the vectors of
// int8-ends.ts.

/** `height` rows of a panel of 8, 32 bytes of sums each, clamped to a range of bytes. */
export function finishBytes(p: usize, k: usize, sums: usize, row: i32, height: i32, panel: i32): void {
  if (arg(p, 31) != 0) {
    finishSums(p, k, sums, row, height, panel);
    return;
  }
  const stride = <usize>arg(p, 3);
  const columns = min(8, arg(p, 27) - (panel << 3));
  let y = <usize>arg(p, 2) + <usize>row * stride + (<usize>panel << 3);
  const m0 = v128.load(<usize>arg(p, 21) + (<usize>panel << 5));
  const m1 = v128.load(<usize>arg(p, 21) + (<usize>panel << 5), 16);
  if (columns == 8) {
    for (; height > 1; height -= 2, sums += 64, y += stride << 1) {
      storeTwo(y, stride, k, m0, m1, v128.load(sums), v128.load(sums, 16), v128.load(sums, 32), v128.load(sums, 48));
    }
  }
  const magic = v128.load(k);
  for (; height > 0; height--, sums += 32, y += stride) {
    const a = narrow(scaled(v128.load(sums), m0), scaled(v128.load(sums, 16), m1), magic, k);
    storeBytes(y, clamped(a, a, k), columns);
  }
}

/** The same with a residual: `round(sum * multiplier + residual * its multiplier + zero point)`, where the last need not be whole. */
function finishSums(p: usize, k: usize, sums: usize, row: i32, height: i32, panel: i32): void {
  const stride = <usize>arg(p, 3);
  const strideR = <usize>arg(p, 32);
  const columns = min(8, arg(p, 27) - (panel << 3));
  let y = <usize>arg(p, 2) + <usize>row * stride + (<usize>panel << 3);
  let r = <usize>arg(p, 31) + <usize>row * strideR + (<usize>panel << 3);
  const m0 = v128.load(<usize>arg(p, 21) + (<usize>panel << 5));
  const m1 = v128.load(<usize>arg(p, 21) + (<usize>panel << 5), 16);
  const factor = f32x4.splat(floatArg(p, 33));
  const offset = f32x4.splat(floatArg(p, 30));
  const magic = f32x4.splat(MAGIC);
  for (; height > 0; height--, sums += 32, y += stride, r += strideR) {
    const words = v128.load8x8_s(r);
    const r0 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words));
    const r1 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words));
    const v = f32x4.add(f32x4.add(scaled(v128.load(sums), m0), f32x4.mul(r0, factor)), offset);
    const w = f32x4.add(f32x4.add(scaled(v128.load(sums, 16), m1), f32x4.mul(r1, factor)), offset);
    const a = narrow(v, w, magic, k);
    storeBytes(y, clamped(a, a, k), columns);
  }
}

/** `height` rows of a panel as floats: `activation(sum * multiplier)`. */
export function finishFloats(p: usize, sums: usize, row: i32, height: i32, panel: i32): void {
  const stride = <usize>arg(p, 3) << 2;
  const columns = min(8, arg(p, 27) - (panel << 3));
  let y = <usize>arg(p, 2) + <usize>row * stride + (<usize>panel << 5);
  const m0 = v128.load(<usize>arg(p, 21) + (<usize>panel << 5));
  const m1 = v128.load(<usize>arg(p, 21) + (<usize>panel << 5), 16);
  for (; height > 0; height--, sums += 32, y += stride) {
    storeLanes(y, activate(scaled(v128.load(sums), m0), arg(p, 26)), columns);
    if (columns > 4) storeLanes(y + 16, activate(scaled(v128.load(sums, 16), m1), arg(p, 26)), columns - 4);
  }
}
