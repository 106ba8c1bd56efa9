import { arg } from './args';
import { first, last } from './share';
import { exp } from './vector';

/** Softmax of every row. Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels. */
export function softmax(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const channels = arg(p, 5);
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const x = <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4);
    const y = <usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4);
    let most: f32 = -Infinity;
    for (let c = 0; c < channels; c++) most = max(most, load<f32>(x + (<usize>c << 2)));
    let sum: f32 = 0;
    for (let c = 0; c < channels; c += 4) {
      const v = exp(f32x4.sub(v128.load(x + (<usize>c << 2)), f32x4.splat(most)));
      sum += put(y + (<usize>c << 2), v, channels - c);
    }
    const factor: f32 = 1 / sum;
    for (let c = 0; c < channels; c++) {
      const at = y + (<usize>c << 2);
      store<f32>(at, load<f32>(at) * factor);
    }
  }
}

/** Stores up to four lanes and returns their sum. */
function put(y: usize, v: v128, count: i32): f32 {
  let sum = f32x4.extract_lane(v, 0);
  v128.store_lane<f32>(y, v, 0);
  if (count > 1) {
    sum += f32x4.extract_lane(v, 1);
    v128.store_lane<f32>(y, v, 1, 4);
  }
  if (count > 2) {
    sum += f32x4.extract_lane(v, 2);
    v128.store_lane<f32>(y, v, 2, 8);
  }
  if (count > 3) {
    sum += f32x4.extract_lane(v, 3);
    v128.store_lane<f32>(y, v, 3, 12);
  }
  return sum;
}
