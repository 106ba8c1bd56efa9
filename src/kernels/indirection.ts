// The input pointers of a convolution's rows; see conv.ts for the arguments.

// @ts-expect-error: decorator
@inline
function arg(p: usize, i: i32): i32 {
  return load<i32>(p + (i << 2));
}

/** Writes the pointers of `count` rows from `row`, `[tile of 4 rows][tap][4]`; rows past the end repeat the last one. */
export function indirection(p: usize, table: usize, row: i32, count: i32): void {
  const taps = arg(p, 11) * arg(p, 12);
  if (arg(p, 23) != 0) {
    scaledRows(p, table, row, count);
  } else if (taps == 1 && arg(p, 8) == arg(p, 5) && arg(p, 9) == arg(p, 6)) {
    // Pointwise: the output's pixels are the input's.
    const stride = <usize>arg(p, 1) << 2;
    let source = <usize>arg(p, 0) + <usize>row * stride;
    for (const end = table + (<usize>count << 2); table < end; table += 4, source += stride) store<u32>(table, <u32>source);
    repeatLast(table - 4, 1, count);
  } else {
    windows(p, table, row, count);
    repeatLast(slotOf(table, taps, count - 1), taps, count);
  }
}

// @ts-expect-error: decorator
@inline
function slotOf(table: usize, taps: i32, i: i32): usize {
  return table + <usize>((i >> 2) * taps * 16 + (i & 3) * 4);
}

/** Fills the last tile with the pointers at `slot`, the last row's. */
function repeatLast(slot: usize, taps: i32, count: i32): void {
  for (let i = count; (i & 3) != 0; i++) {
    for (let t = 0; t < taps; t++) store<u32>(slot + <usize>(t << 4), load<u32>(slot + <usize>(t << 4)), 4);
    slot += 4;
  }
}

/** Pointers of pointwise rows that are multiplied with their image's scale; the scaled rows stand behind the pointers. */
function scaledRows(p: usize, table: usize, row: i32, count: i32): void {
  const channels = arg(p, 7);
  const pixels = arg(p, 8) * arg(p, 9);
  const stride = arg(p, 1) << 2;
  const scale = <usize>arg(p, 23);
  const strideS = arg(p, 24) << 2;
  let scaled = table + <usize>(((count + 3) >> 2) << 4);
  for (let i = 0; i < count; i++) {
    const at = row + i;
    scaleRow(<usize>arg(p, 0) + <usize>(at * stride), scale + <usize>((at / pixels) * strideS), scaled, channels);
    store<u32>(table, <u32>scaled);
    table += 4;
    scaled += <usize>(channels << 2);
  }
  repeatLast(table - 4, 1, count);
}

/** The general case: a window of pointers for every pixel, to zeros where it reaches outside the image. */
function windows(p: usize, table: usize, row: i32, count: i32): void {
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
  const stepX = <usize>(dilationX * pixel);
  const stepY = <usize>(dilationY * width * pixel);
  const reachY = (kernelHeight - 1) * dilationY;
  const reachX = (kernelWidth - 1) * dilationX;
  const taps = kernelHeight * kernelWidth;
  let image = row / (outHeight * outWidth);
  let oy = row / outWidth - image * outHeight;
  let ox = row % outWidth;
  for (let i = 0; i < count; i++) {
    const top = oy * arg(p, 13) - arg(p, 15);
    const left = ox * arg(p, 14) - arg(p, 16);
    let slot = slotOf(table, taps, i);
    let line = <usize>arg(p, 0) + <usize>(((image * height + top) * width + left) * pixel);
    const inside = top >= 0 && left >= 0 && top + reachY < height && left + reachX < width;
    for (let ky = 0; ky < kernelHeight; ky++, line += stepY) {
      const iy = top + ky * dilationY;
      const lineInside = iy >= 0 && iy < height;
      let source = line;
      for (let kx = 0; kx < kernelWidth; kx++, source += stepX, slot += 16) {
        const ix = left + kx * dilationX;
        store<u32>(slot, <u32>(inside || (lineInside && ix >= 0 && ix < width) ? source : zeros));
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

function scaleRow(x: usize, scale: usize, y: usize, channels: i32): void {
  const end = y + <usize>(channels << 2);
  for (; y + 16 <= end; y += 16, x += 16, scale += 16) v128.store(y, f32x4.mul(v128.load(x), v128.load(scale)));
  for (; y < end; y += 4, x += 4, scale += 4) store<f32>(y, load<f32>(x) * load<f32>(scale));
}
