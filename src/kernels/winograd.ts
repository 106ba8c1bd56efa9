import { arg } from './args';
import { first, last } from './share';
import { TAP } from './indirection';
import { sumTile, tile } from './tiles';
import { activate, madd, storeLanes } from './vector';

// 3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, 2016): a tile of 4x4 outputs takes 36
// multiplications instead of 144. Blocks of tiles are transformed into 36 matrices, multiplied with the transformed weights by the loops of
// the other convolutions, and transformed back; everything of a block stays in the cache of its thread.
//
// The polynomials are evaluated at 0, ±A, ±B and infinity. With the usual 1 and 2 the result is four times as far from the exact one as the
// direct product's; 5/8 and 3/2 halve that, and sums over {@link CHANNELS} at a time bring it below.
//
// Weights are packed in panels of 8 output channels, `[position][panel][C][8]`. With a dilation of d the image falls into d times d interleaved
// ones, each with tiles of its own.
//
// Arguments (4 bytes each): 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 O, 11 12 padding top and left,
// 13 weights, 14 bias (whole panels), 15 residual or 0, 16 its row stride, 17 activation, 18 scratch, 19 its bytes for each thread,
// 20 dilation.

/** Tiles of one block: a multiple of the rows that the inner loops take. */
const TILES: i32 = 48;
const POSITIONS: i32 = 36;
/** Channels that are summed up before their sum is added to that of the channels before. */
const CHANNELS: i32 = 64;
/** The points; keep those of ops/conv2d-winograd.ts the same. Their squares are exact. */
const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/** Bytes between two matrices: without them the 36 places of a value would lie a power of two apart and share a cache set. */
const GAP: usize = 64;
/** Six rows at a time only where multiply and add are one instruction; see tiles.ts. */
const HEIGHT: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 4;

export function winograd(p: usize, tid: i32, threads: i32): void {
  const dilation = arg(p, 20);
  const tiles = arg(p, 4) * dilation * dilation * tilesOf(p, 8) * tilesOf(p, 9);
  const panels = (arg(p, 10) + 7) >> 3;
  const channels = (arg(p, 7) + 3) & ~3;
  // The scratch: pointers to the rows of a position, 36 vectors of a tile in work, the inputs' matrices, the products' matrices.
  const pointers = <usize>arg(p, 18) + <usize>tid * <usize>arg(p, 19);
  const work = pointers + TAP;
  const inputs = work + (POSITIONS << 4);
  const products = inputs + <usize>POSITIONS * (<usize>(TILES * channels * 4) + GAP);
  const zeros = products + <usize>POSITIONS * (<usize>(panels * TILES * 32) + GAP);
  memory.fill(zeros, 0, 32);
  const end = last(tiles, HEIGHT, tid, threads);
  for (let tile = first(tiles, HEIGHT, tid, threads); tile < end; tile += TILES) {
    const count = min(TILES, end - tile);
    for (let i = 0; i < count; i++) transformInput(p, tile + i, inputs + <usize>(i * channels * 4), channels, work);
    multiply(p, count, channels, panels, pointers, inputs, products, zeros, work);
    for (let i = 0; i < count; i++) transformOutput(p, tile + i, products + <usize>(i << 5), panels, work);
  }
}

/** How many tiles lie along output dimension `i` of one of the interleaved images. */
// @ts-expect-error: decorator
@inline
function tilesOf(p: usize, i: i32): i32 {
  return ((arg(p, i) + arg(p, 20) - 1) / arg(p, 20) + 3) >> 2;
}

/** The first output row (or column) of a tile: that of its interleaved image, four steps of the dilation for every tile before it. */
// @ts-expect-error: decorator
@inline
function originY(p: usize, tile: i32): i32 {
  const across = tilesOf(p, 9);
  const phase = tile / (tilesOf(p, 8) * across);
  return ((tile / across) % tilesOf(p, 8)) * 4 * arg(p, 20) + (phase / arg(p, 20)) % arg(p, 20);
}

// @ts-expect-error: decorator
@inline
function originX(p: usize, tile: i32): i32 {
  const across = tilesOf(p, 9);
  const phase = tile / (tilesOf(p, 8) * across);
  return (tile % across) * 4 * arg(p, 20) + (phase % arg(p, 20));
}

// @ts-expect-error: decorator
@inline
function imageOf(p: usize, tile: i32): i32 {
  return tile / (tilesOf(p, 8) * tilesOf(p, 9) * arg(p, 20) * arg(p, 20));
}

/** The products of one block: for every position the matrix of tiles by channels times the weights. */
function multiply(
  p: usize, count: i32, channels: i32, panels: i32, pointers: usize, inputs: usize, products: usize, zeros: usize,
  work: usize,
): void {
  const bytes = <usize>arg(p, 7) << 2;
  const row = <usize>channels << 2;
  let weights = <usize>arg(p, 13);
  for (let position = 0; position < POSITIONS; position++, inputs += row * TILES + GAP, products += GAP) {
    for (let c = 0; c < arg(p, 7); c += CHANNELS) {
      const part = <usize>min(CHANNELS, arg(p, 7) - c) << 2;
      const x = inputs + (<usize>c << 2);
      // Rows past the last tile repeat it: their products are never read.
      for (let i = 0; i < TILES; i++) store<u32>(pointers + (<usize>i << 2), <u32>(x + <usize>min(i, count - 1) * row));
      let panel = weights + (<usize>c << 5);
      let target = products;
      let left = panels;
      if (WIDE_SIMD) {
        for (; left > 1; left -= 2, panel += bytes << 4, target += TILES << 6) {
          for (let i = 0; i < count; i += HEIGHT) {
            const y = target + <usize>(i << 5);
            const sums = c == 0 ? y : work;
            const apart: usize = c == 0 ? TILES << 5 : HEIGHT << 5;
            tile<6, 2, 2, false>(pointers + (<usize>i << 2), part, panel, bytes << 3, zeros, 0, 0, sums, apart, 0);
            if (c == 0) continue;
            addSums(y, sums);
            addSums(y + (TILES << 5), sums + apart);
          }
        }
      }
      for (; left > 0; left--, panel += bytes << 3, target += TILES << 5) {
        for (let i = 0; i < count; i += HEIGHT) {
          const y = target + <usize>(i << 5);
          const sums = c == 0 ? y : work;
          if (ASC_FEATURE_RELAXED_SIMD) sumTile<6, 2>(pointers + (<usize>i << 2), part, panel, zeros, 0, sums);
          else sumTile<4, 2>(pointers + (<usize>i << 2), part, panel, zeros, 0, sums);
          if (c > 0) addSums(y, sums);
        }
      }
    }
    weights += <usize>panels * (bytes << 3);
    products += <usize>panels * (TILES << 5);
  }
}

/** Adds a tile's sums to those of the channels before: apart from the loop over channels, which has no register left for it. */
function addSums(y: usize, sums: usize): void {
  for (const end = y + (HEIGHT << 5); y < end; y += 16, sums += 16) v128.store(y, f32x4.add(v128.load(y), v128.load(sums)));
}

/** Transforms the 6x6 inputs of a tile, channel vector by channel vector, into its row of the 36 matrices. */
function transformInput(p: usize, tile: i32, out: usize, channels: i32, work: usize): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const dilation = arg(p, 20);
  const top = originY(p, tile) - arg(p, 11);
  const left = originX(p, tile) - arg(p, 12);
  const pixel = <usize>arg(p, 1) << 2;
  const x = <usize>arg(p, 0) + <usize>((imageOf(p, tile) * height + top) * width + left) * pixel;
  const stepX = <usize>dilation * pixel;
  const stepY = <usize>width * stepX;
  const step = (<usize>(TILES * channels) << 2) + GAP;
  const inside = top >= 0 && left >= 0 && top + 5 * dilation < height && left + 5 * dilation < width;
  for (let c = 0; c < channels; c += 4) {
    const at = <usize>c << 2;
    if (inside) {
      for (let j = 0; j < 6; j++) inputColumn(x + at + <usize>j * stepX, stepY, work + (<usize>j << 4), 96);
    } else {
      for (let i = 0; i < 6; i++) {
        const y = top + i * dilation;
        for (let j = 0; j < 6; j++) {
          const column = left + j * dilation;
          const here = y >= 0 && y < height && column >= 0 && column < width;
          const v = here ? v128.load(x + at + <usize>i * stepY + <usize>j * stepX) : f32x4.splat(0);
          v128.store(work + <usize>((i * 6 + j) << 4), v);
        }
      }
      for (let j = 0; j < 6; j++) inputColumn(work + (<usize>j << 4), 96, work + (<usize>j << 4), 96);
    }
    for (let i = 0; i < 6; i++) inputColumn(work + <usize>(i * 96), 16, out + at + <usize>(i * 6) * step, step);
  }
}

/** `a - factor * b`. */
// @ts-expect-error: decorator
@inline
function minus(a: v128, factor: f32, b: v128): v128 {
  return madd(f32x4.splat(-factor), b, a);
}

/** Six values, `from` bytes apart, by Bᵀ: the same to the rows and to the columns of a tile. */
// @ts-expect-error: decorator
@inline
function inputColumn(x: usize, from: usize, y: usize, to: usize): void {
  let v: Registers<v128>;
  unroll: for (let i = 0; i < 6; i++) v[i] = v128.load(x + from * i);
  const a = minus(v[4], B2, v[2]);
  const b = f32x4.mul(f32x4.splat(A), minus(v[3], B2, v[1]));
  const c = minus(v[4], A2, v[2]);
  const d = f32x4.mul(f32x4.splat(B), minus(v[3], A2, v[1]));
  v128.store(y, minus(a, A2, minus(v[2], B2, v[0])));
  v128.store(y + to, f32x4.add(a, b));
  v128.store(y + to * 2, f32x4.sub(a, b));
  v128.store(y + to * 3, f32x4.add(c, d));
  v128.store(y + to * 4, f32x4.sub(c, d));
  v128.store(y + to * 5, minus(minus(v[5], B2, v[3]), A2, minus(v[3], B2, v[1])));
}

/** Transforms a tile's products back, adds bias and residual, applies the activation and stores what lies inside the output. */
function transformOutput(p: usize, tile: i32, products: usize, panels: i32, work: usize): void {
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const outputs = arg(p, 10);
  const dilation = arg(p, 20);
  const top = originY(p, tile);
  const left = originX(p, tile);
  const rows = top < outHeight ? min(4, (outHeight - 1 - top) / dilation + 1) : 0;
  const columns = left < outWidth ? min(4, (outWidth - 1 - left) / dilation + 1) : 0;
  const pixel = (imageOf(p, tile) * outHeight + top) * outWidth + left;
  const strideY = <usize>arg(p, 3) << 2;
  const strideR = <usize>arg(p, 16) << 2;
  const position = ((<usize>panels * TILES) << 5) + GAP;
  for (let c = 0; c < outputs; c += 4) {
    const from = products + <usize>((c >> 3) * (TILES << 5) + (c & 4) * 4);
    for (let j = 0; j < 6; j++) outputColumn(from + <usize>j * position, position * 6, work + (<usize>j << 4), 96);
    for (let i = 0; i < 4; i++) outputColumn(work + <usize>(i * 96), 16, work + <usize>(i * 96), 16);
    const bias = v128.load(<usize>arg(p, 14) + (<usize>c << 2));
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const at = <usize>(pixel + (i * outWidth + j) * dilation);
        let v = f32x4.add(v128.load(work + <usize>(i * 96 + j * 16)), bias);
        if (strideR != 0) v = f32x4.add(v, v128.load(<usize>arg(p, 15) + at * strideR + (<usize>c << 2)));
        storeLanes(<usize>arg(p, 2) + at * strideY + (<usize>c << 2), activate(v, arg(p, 17)), outputs - c);
      }
    }
  }
}

/** Six products by Aᵀ to four values. */
// @ts-expect-error: decorator
@inline
function outputColumn(x: usize, from: usize, y: usize, to: usize): void {
  let v: Registers<v128>;
  unroll: for (let i = 0; i < 6; i++) v[i] = v128.load(x + from * i);
  const a = f32x4.add(v[1], v[2]);
  const b = f32x4.sub(v[1], v[2]);
  const c = f32x4.add(v[3], v[4]);
  const d = f32x4.sub(v[3], v[4]);
  v128.store(y, f32x4.add(f32x4.add(v[0], a), c));
  v128.store(y + to, madd(f32x4.splat(B), d, f32x4.mul(f32x4.splat(A), b)));
  v128.store(y + to * 2, madd(f32x4.splat(B2), c, f32x4.mul(f32x4.splat(A2), a)));
  v128.store(y + to * 3, f32x4.add(madd(f32x4.splat(B * B2), d, f32x4.mul(f32x4.splat(A * A2), b)), v[5]));
}
