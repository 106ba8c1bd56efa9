import { arg } from './args';
import { first, last } from './share';
import { madd, storeLanes } from './vector';

/**
 * Images at another size. The tables have three floats for every output row and column: the two input rows or columns that it is
 * between, and the second one's share.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 table of rows, 11 table of columns,
 * 12 whether bilinear.
 */
export function resize(p: usize, tid: i32, threads: i32): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const channels = arg(p, 7);
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const bilinear = arg(p, 12) != 0;
  const pixel = <usize>arg(p, 1) << 2;
  const strideY = <usize>arg(p, 3) << 2;
  const lines = arg(p, 4) * outHeight;
  const end = last(lines, 1, tid, threads);
  for (let line = first(lines, 1, tid, threads); line < end; line++) {
    const image = line / outHeight;
    const row = <usize>arg(p, 10) + <usize>((line - image * outHeight) * 12);
    const x = <usize>arg(p, 0) + <usize>(image * height * width) * pixel;
    const top = x + <usize>(<i32>load<f32>(row) * width) * pixel;
    const bottom = x + <usize>(<i32>load<f32>(row, 4) * width) * pixel;
    const share = v128.load32_splat(row, 8);
    let column = <usize>arg(p, 11);
    let y = <usize>arg(p, 2) + <usize>(line * outWidth) * strideY;
    for (let ox = 0; ox < outWidth; ox++, column += 12, y += strideY) {
      const left = <usize>(<i32>load<f32>(column)) * pixel;
      if (bilinear) {
        const right = <usize>(<i32>load<f32>(column, 4)) * pixel;
        between(top + left, top + right, bottom + left, bottom + right, v128.load32_splat(column, 8), share, y, channels);
      } else {
        copyPixel(top + left, y, channels);
      }
    }
  }
}

function copyPixel(x: usize, y: usize, channels: i32): void {
  for (let c = 0; c < channels; c += 4, x += 16, y += 16) storeLanes(y, v128.load(x), channels - c);
}

function between(
  topLeft: usize, topRight: usize, bottomLeft: usize, bottomRight: usize, shareX: v128, shareY: v128, y: usize, channels: i32,
): void {
  for (let c = 0; c < channels; c += 4) {
    const at = <usize>c << 2;
    const a = v128.load(topLeft + at);
    const b = v128.load(bottomLeft + at);
    const above = madd(f32x4.sub(v128.load(topRight + at), a), shareX, a);
    const below = madd(f32x4.sub(v128.load(bottomRight + at), b), shareX, b);
    storeLanes(y + at, madd(f32x4.sub(below, above), shareY, above), channels - c);
  }
}
