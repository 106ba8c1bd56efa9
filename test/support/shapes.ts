import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { uniformStream } from '../../src/nn/random.js';

/** The classes of {@link writeShapes}, as their folders are ordered. */
export const SHAPES = ['circle', 'square', 'triangle'] as const;

type Shape = (typeof SHAPES)[number];

function drawing(shape: Shape, x: number, y: number, r: number, fill: string): string {
  if (shape === 'circle') return `<circle cx="${x}" cy="${y}" r="${r}" fill="${fill}"/>`;
  if (shape === 'square') return `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}" fill="${fill}"/>`;
  return `<polygon points="${x},${y - r} ${x - r},${y + r} ${x + r},${y + r}" fill="${fill}"/>`;
}

/** Writes `count` pictures of each shape, 48 pixels wide, into a folder for each: coloured, at random places, the same in every run. */
export async function writeShapes(folder: string, count: number, seed = 1): Promise<void> {
  const uniform = uniformStream(seed);
  const between = (low: number, high: number) => Math.round(low + uniform() * (high - low));
  const color = (channels: readonly [low: number, high: number][]) =>
    `rgb(${channels.map(([low, high]) => between(low, high)).join(',')})`;
  for (const [c, shape] of SHAPES.entries()) {
    // Circles are reddish, squares greenish, triangles bluish: a few steps have to be enough to learn it.
    const tones = [0, 1, 2].map((i): [number, number] => (i === c ? [200, 255] : [0, 120]));
    const dark = tones.map((): [number, number] => [20, 90]);
    await mkdir(join(folder, shape), { recursive: true });
    for (let i = 0; i < count; i++) {
      const inner = drawing(shape, between(20, 28), between(20, 28), between(10, 15), color(tones));
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48"><rect width="48" height="48" fill="${color(dark)}"/>${inner}</svg>`;
      await sharp(Buffer.from(svg))
        .png()
        .toFile(join(folder, shape, `${String(i).padStart(3, '0')}.png`));
    }
  }
}
