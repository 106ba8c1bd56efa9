import type { Mask } from '../models/ghost2/masks.js';
import type { Point } from './geometry.js';

/** Sets every pixel of `map` whose middle is inside of a polygon (even-odd) to `label`. */
export function fillPolygon({ width, height, data }: Mask, polygon: readonly Point[], label: number): void {
  const ys = polygon.map(([, y]) => y);
  const top = Math.max(0, Math.ceil(Math.min(...ys)));
  const bottom = Math.min(height - 1, Math.floor(Math.max(...ys)));
  for (let y = top; y <= bottom; y++) {
    const crossings: number[] = [];
    for (const [i, [x0, y0]] of polygon.entries()) {
      const [x1, y1] = polygon[(i + 1) % polygon.length];
      // A vertex on the line counts once: for the edge that goes on below it.
      if (y0 <= y !== y1 <= y) crossings.push(x0 + ((y - y0) / (y1 - y0)) * (x1 - x0));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil(crossings[i]));
      const to = Math.min(width - 1, Math.floor(crossings[i + 1]));
      if (from <= to) data.fill(label, y * width + from, y * width + to + 1);
    }
  }
}

/** A band of `thickness` pixels along a line. */
export function fillBand(map: Mask, line: readonly Point[], thickness: number, label: number): void {
  const r = thickness / 2;
  for (const [i, [x0, y0]] of line.entries()) {
    if (i > 0) {
      const [px, py] = line[i - 1];
      const length = Math.hypot(x0 - px, y0 - py) || 1;
      const [nx, ny] = [((y0 - py) / length) * r, ((px - x0) / length) * r];
      const quad: Point[] = [
        [px + nx, py + ny],
        [x0 + nx, y0 + ny],
        [x0 - nx, y0 - ny],
        [px - nx, py - ny],
      ];
      fillPolygon(map, quad, label);
    }
    fillPolygon(map, arc([x0, y0], [r, 0], [0, r], 0, 2 * Math.PI, 12), label);
  }
}

/** Points of an ellipse around `center` with the half axes `a` and `b`, from the angle `from` (at `a`, towards `b`) to `to`. */
export function arc(center: Point, a: Point, b: Point, from: number, to: number, steps = 48): Point[] {
  return Array.from({ length: steps + 1 }, (_, i) => {
    const t = from + ((to - from) * i) / steps;
    const [c, s] = [Math.cos(t), Math.sin(t)];
    return [center[0] + a[0] * c + b[0] * s, center[1] + a[1] * c + b[1] * s];
  });
}

/** A plane of numbers smoothed by a Gaussian; what is outside is like the nearest pixel inside. */
export function gaussianBlur(plane: Float32Array, width: number, height: number, sigma: number): Float32Array {
  const radius = Math.ceil(3 * sigma);
  const kernel = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
  );
  const sum = kernel.reduce((a, b) => a + b);
  const along = (from: Float32Array, lines: number, length: number, lineStep: number, step: number) => {
    const out = new Float32Array(from.length);
    for (let line = 0; line < lines; line++) {
      const start = line * lineStep;
      for (let i = 0; i < length; i++) {
        let value = 0;
        for (let k = -radius; k <= radius; k++) {
          const at = Math.min(length - 1, Math.max(0, i + k));
          value += kernel[k + radius] * from[start + at * step];
        }
        out[start + i * step] = value / sum;
      }
    }
    return out;
  };
  return along(along(plane, height, width, width, 1), width, height, 1, width);
}
