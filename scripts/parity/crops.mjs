import { arcfaceBorders, cropArcface, cropWide } from '../../dist/headswap/geometry-crops.js';
import { pasteBack } from '../../dist/headswap/geometry-paste.js';
import { Worst } from './compare.mjs';

/** How far an element of a transform may be off, relative to itself. */
const BOUND = 1e-6;
/** How far a pixel may be off, of 255, and how many may be off further. */
const PIXEL_BOUND = 2;
const PIXELS_OFF = 0.005;

/** @param {any} golden */
export function isCrops(golden) {
  return Array.isArray(golden.cases) && golden.cases.some(({ keypoints }) => Array.isArray(keypoints));
}

/** Transforms, crops and the paste-back of every case. */
export function crops(golden) {
  const worst = new Worst(BOUND);
  const pixels = { off: 0, compared: 0, maxError: 0 };
  const { formula, height, width } = recipeOf(golden.image);
  const image = formula(height, width);
  for (const [name, expected] of Object.entries(golden)) {
    const size = /^arcfaceBorders(\d+)$/.exec(name)?.[1];
    if (size) worst.need(name, JSON.stringify(expected), JSON.stringify(arcfaceBorders(Number(size))));
  }
  for (const test of golden.cases) {
    const wide = cropWide(image, test.keypoints);
    const arcface = cropArcface(image, test.keypoints);
    const transforms = { wideTransform: wide.transform, arcTransform: arcface.transform };
    for (const [key, got] of Object.entries(transforms)) {
      if (test[key] !== undefined) compareTransform(worst, `${test.name} ${key}`, test[key].flat(), got);
    }
    worst.need(`${test.name} wideTemplate`, test.wideTemplate, wide.template);
    const pictures = { wideCrop: wide.image, arcCrop: arcface.image };
    if (test.copyBack) pictures.copyBack = copyBack(test, formula, image, transforms);
    for (const [key, got] of Object.entries(pictures)) {
      if (test[key] !== undefined) comparePixels(worst, pixels, `${test.name} ${key}`, test[key], got);
    }
  }
  return { ...worst.verdict(), pixels };
}

/** The picture that a golden file describes: its formula, its height and width. */
function recipeOf(text) {
  const known = 'clip(round(127.5 + 127.5 cos(x/(17+5c)+c) cos(y/(23-4c)+2c)), 0, 255)';
  const size = /\b(\d+)x(\d+)\b/.exec(text ?? '');
  if (!size || !text.includes(known)) throw new Error(`the image ${JSON.stringify(text)} is not known`);
  return { formula: cosines, height: Number(size[1]), width: Number(size[2]) };
}

function cosines(height, width) {
  const data = new Uint8Array(height * width * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++, i++) {
        const v = 127.5 + 127.5 * Math.cos(x / (17 + 5 * c) + c) * Math.cos(y / (23 - 4 * c) + 2 * c);
        data[i] = Math.min(255, Math.max(0, Math.round(v)));
      }
    }
  }
  return { width, height, data };
}

/** The paste-back as the original's `copy_head_back` does it, of the picture that `copyBackInput` describes. */
function copyBack({ copyBackInput: text = '' }, formula, image, transforms) {
  const [, height, width] = /^image\((\d+),\s*(\d+)\)/.exec(text) ?? [];
  const transform = transforms[/pasted with (\w+)/.exec(text)?.[1] ?? ''];
  if (!height || !transform) throw new Error(`copyBackInput ${JSON.stringify(text)} is not known`);
  const plain = formula(Number(height), Number(width));
  const crop = /mirrored left to right/.test(text) ? mirrored(plain) : plain;
  return pasteBack(crop, image, transform, { edge: 'hard' });
}

function mirrored({ width, height, data }) {
  const out = new Uint8Array(data.length);
  for (let i = 0; i < width * height; i++) {
    const from = i - (i % width) + (width - 1 - (i % width));
    out.set(data.subarray(from * 3, from * 3 + 3), i * 3);
  }
  return { width, height, data: out };
}

function compareTransform(worst, where, expected, got) {
  if (expected.length !== 6) throw new Error(`${where}: not a transform of 2 x 3`);
  // An element that should be 0 is compared with a millionth of the largest.
  const least = 1e-6 * Math.max(...expected.map(Math.abs));
  for (const [i, v] of expected.entries()) {
    worst.add(Math.abs(got[i] - v) / Math.max(Math.abs(v), least), `${where}[${i}]`);
  }
}

function comparePixels(worst, pixels, where, expected, { width, height, data }) {
  worst.need(`${where} shape`, String(expected.shape), String([height, width, 3]));
  const { values, indices } = expected;
  if (!Array.isArray(values) || values.length === 0) throw new Error(`${where}: nothing to compare with`);
  let off = 0;
  for (const [i, value] of values.entries()) {
    const error = Math.abs(data[indices ? indices[i] : i] - value);
    if (!(error <= PIXEL_BOUND)) off++;
    pixels.maxError = Math.max(pixels.maxError, error);
  }
  const mean = data.reduce((sum, v) => sum + v, 0) / data.length;
  if (Math.abs(mean - (expected.mean ?? mean)) > PIXEL_BOUND) worst.problems.push(`${where}: the mean is ${mean}`);
  if (off > PIXELS_OFF * values.length) {
    worst.problems.push(`${where}: ${off} of ${values.length} pixels are off by over ${PIXEL_BOUND}`);
  }
  pixels.off += off;
  pixels.compared += values.length;
}
