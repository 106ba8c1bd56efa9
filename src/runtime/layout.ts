import type { Shape } from '../tensor/tensor.js';

/** Row-major elements in the order in which a value of their shape is stored: channels last for rank 4. */
export function storedOrder(shape: Shape, data: Float32Array): Float32Array {
  if (shape.length !== 4) return data;
  const [n, c, h, w] = shape;
  const out = new Float32Array(data.length);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < c; k++) {
      for (let p = 0; p < h * w; p++) out[(i * h * w + p) * c + k] = data[(i * c + k) * h * w + p];
    }
  }
  return out;
}

/** The inverse of {@link storedOrder}. */
export function rowMajorOrder(shape: Shape, stored: Float32Array): Float32Array {
  if (shape.length !== 4) return stored;
  const [n, c, h, w] = shape;
  const out = new Float32Array(stored.length);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < c; k++) {
      for (let p = 0; p < h * w; p++) out[(i * c + k) * h * w + p] = stored[(i * h * w + p) * c + k];
    }
  }
  return out;
}
