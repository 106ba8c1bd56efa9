import { arg } from './args';

// The input pointers of a convolution's rows: for each tap of the kernel the rows of a block, one after another, so that a tile of any
// height finds its own side by side. Behind the last row its pointers are repeated, for tiles that reach past it. See conv.ts for the
// arguments.

/** Rows of one block: its pointers and inputs stay in the cache while all panels pass over it. A multiple of every tile's height but 8. */
export const BLOCK: i32 = 60;
/** Bytes from one tap's pointers to the next tap's; keep `POINTER_ROWS` of ops/conv2d-lowering.ts the same. */
export const TAP: usize = 68 << 2;
/** Few input channels make short loops at every tap: up to this many, a window is copied into one long row. */
const GATHERED: i32 = 8;
/** The highest tile. */
const HIGHEST: i32 = 8;

/** Writes the pointers of `count` rows from `row`, `[tile of 4 rows][tap][4]`; rows past the end repeat the last one. */
export function indirection(p: usize, table: usize, row: i32, count: i32): void {
  const taps = arg(p, 11) * arg(p, 12);
  if (arg(p, 23) != 0) {
    scaledRows(p, table, row, count);
  } else if (taps == 1 && arg(p, 13) == 1 && arg(p, 14) == 1 && arg(p, 8) == arg(p, 5) && arg(p, 9) == arg(p, 6)) {
    // Pointwise: the output's pixels are the input's.
    const stride = <usize>arg(p, 1) << 2;
    let source = <usize>arg(p, 0) + <usize>row * stride;
    for (const end = table + (<usize>count << 2); table < end; table += 4, source += stride) store<u32>(table, <u32>source);
    repeatLast(table - 4, 1);
  } else if (gathers(p)) {
    windows<true>(p, table, row, count);
    repeatLast(table + (<usize>(count - 1) << 2), 1);
  } else {
    windows<false>(p, table, row, count);
    repeatLast(table + (<usize>(count - 1) << 2), taps);
  }
}

/** Whether windows are copied into rows of `[tap][channel]`, which then have a single tap. */
// @ts-expect-error: decorator
@inline
export function gathers(p: usize): bool {
  return arg(p, 11) * arg(p, 12) > 1 && arg(p, 7) <= GATHERED && arg(p, 23) == 0;
}

/** Repeats the pointers at `slot`, the last row's, for the rows that a tile may reach past it. */
function repeatLast(slot: usize, taps: i32): void {
  for (let t = 0; t < taps; t++, slot += TAP) {
    const pointer = load<u32>(slot);
    for (let i = 1; i < HIGHEST; i++) store<u32>(slot + (<usize>i << 2), pointer);
  }
}

/** Pointers of pointwise rows that are multiplied with their image's scale; the scaled rows stand behind the pointers. */
function scaledRows(p: usize, table: usize, row: i32, count: i32): void {
  const channels = arg(p, 7);
  const pixels = arg(p, 8) * arg(p, 9);
  const stride = arg(p, 1) << 2;
  const scale = <usize>arg(p, 23);
  const strideS = arg(p, 24) << 2;
  let scaled = table + TAP;
  for (let i = 0; i < count; i++) {
    const at = row + i;
    scaleRow(<usize>arg(p, 0) + <usize>(at * stride), scale + <usize>((at / pixels) * strideS), scaled, channels);
    store<u32>(table, <u32>scaled);
    table += 4;
    scaled += <usize>(channels << 2);
  }
  repeatLast(table - 4, 1);
}

/**
 * The windows of `count` pixels. In general pointers to all that is in them, to zeros where a window reaches outside the image; or, where they are
 * `COPIED`, the copies, which stand behind the pointers, and a pointer to each.
 */
function windows<COPIED extends boolean>(p: usize, table: usize, row: i32, count: i32): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const kernelHeight = arg(p, 11);
  const kernelWidth = arg(p, 12);
  const dilationY = arg(p, 17);
  const dilationX = arg(p, 18);
  const zeros = <usize>arg(p, 26);
  const pixel = arg(p, 1) << 2;
  const bytes = <usize>arg(p, 7) << 2;
  const stepX = <usize>(dilationX * pixel);
  const stepY = <usize>(dilationY * width * pixel);
  const reachY = (kernelHeight - 1) * dilationY;
  const reachX = (kernelWidth - 1) * dilationX;
  // Without gaps between pixels a row of the window is one run.
  const dense = COPIED && <usize>pixel == bytes && dilationX == 1;
  const runBytes = bytes * <usize>kernelWidth;
  let image = row / (outHeight * outWidth);
  let oy = row / outWidth - image * outHeight;
  let ox = row % outWidth;
  let y = table + TAP;
  for (let i = 0; i < count; i++) {
    const top = oy * arg(p, 13) - arg(p, 15);
    const left = ox * arg(p, 14) - arg(p, 16);
    let slot = table + (<usize>i << 2);
    let line = <usize>arg(p, 0) + <usize>(((image * height + top) * width + left) * pixel);
    const inside = !COPIED && top >= 0 && left >= 0 && top + reachY < height && left + reachX < width;
    const run = dense && left >= 0 && left + kernelWidth <= width;
    if (COPIED) store<u32>(slot, <u32>y);
    let ky = 0;
    if (COPIED && run && top >= 0 && top + reachY < height) {
      y = copyRuns(line, stepY, runBytes, kernelHeight, y);
      ky = kernelHeight;
    }
    for (; ky < kernelHeight; ky++, line += stepY) {
      const iy = top + ky * dilationY;
      const lineInside = iy >= 0 && iy < height;
      let source = line;
      if (COPIED && run && lineInside) {
        y = copyRuns(source, 0, runBytes, 1, y);
        continue;
      }
      for (let kx = 0; kx < kernelWidth; kx++, source += stepX) {
        const ix = left + kx * dilationX;
        const here = inside || (lineInside && ix >= 0 && ix < width);
        if (COPIED) {
          // Whole vectors: what is written too far is overwritten by the next tap.
          v128.store(y, here ? v128.load(source) : f32x4.splat(0));
          if (bytes > 16) v128.store(y, here ? v128.load(source, 16) : f32x4.splat(0), 16);
          y += bytes;
        } else {
          store<u32>(slot, <u32>(here ? source : zeros));
          slot += TAP;
        }
      }
    }
    if (++ox == outWidth) {
      ox = 0;
      if (++oy == outHeight) {
        oy = 0;
        image++;
      }
    }
  }
}

/** Copies `rows` runs of `bytes`, `step` apart, in whole vectors, one behind the other to `y`; returns where they end. */
// @ts-expect-error: decorator
@inline
function copyRuns(source: usize, step: usize, bytes: usize, rows: i32, y: usize): usize {
  // Three pixels of three channels: nothing to decide in between.
  if (bytes > 32 && bytes <= 48) {
    for (; rows > 0; rows--, source += step, y += bytes) {
      unroll: for (let i = 0; i < 3; i++) v128.store(y, v128.load(source, 16 * i), 16 * i);
    }
    return y;
  }
  for (; rows > 0; rows--, source += step, y += bytes) {
    for (let at: usize = 0; at < bytes; at += 16) v128.store(y + at, v128.load(source + at));
  }
  return y;
}

function scaleRow(x: usize, scale: usize, y: usize, channels: i32): void {
  const end = y + <usize>(channels << 2);
  for (; y + 16 <= end; y += 16, x += 16, scale += 16) v128.store(y, f32x4.mul(v128.load(x), v128.load(scale)));
  for (; y < end; y += 4, x += 4, scale += 4) store<f32>(y, load<f32>(x) * load<f32>(scale));
}
