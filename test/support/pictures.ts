import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import type { RgbImage } from '../../src/data/resample.js';

/** Gradients, edges and noise, the same in any language with 32-bit integers. */
export function pattern(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const c = i % 3;
    const x = Math.floor(i / 3) % width;
    const y = Math.floor(i / (3 * width));
    const noise = Math.imul(i, 0x9e3779b9) >>> 27;
    const v = (x * 3 + y * 2 * c + (((x >> 4) ^ (y >> 4)) % 7) * 20 + noise) & 511;
    data[i] = v < 256 ? v : 511 - v;
  }
  return { width, height, data };
}

/** A picture as an encoder of sharp's. */
export function encoder({ width, height, data }: RgbImage): sharp.Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** Every pixel of one colour. */
export function plain(width: number, height: number, [r, g, b]: readonly [number, number, number]): RgbImage {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => [r, g, b][i % 3]) };
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

interface PngKind {
  readonly bits: number;
  readonly interlaced: boolean;
}

/** A PNG with a header and, in `rows`, nothing or compressed lines: grey with less than 8 bits, else red, green, blue and alpha. */
export function pngHeader(
  width: number,
  height: number,
  { bits, interlaced }: PngKind,
  rows = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bits, bits < 8 ? 0 : 6, 0, 0, Number(interlaced)], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', rows),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

/** A black PNG with one bit a pixel: small enough to make at any size. */
export function blackPng(width: number, height: number): Buffer {
  const rows = deflateSync(new Uint8Array((1 + Math.ceil(width / 8)) * height), { level: 1 });
  return pngHeader(width, height, { bits: 1, interlaced: false }, rows);
}
