// What is swapped: two pictures that are made here, and where the face in them is said to be.

/** The side of the crop that the networks take. */
export const SIZE = 512;

/** The five points of the frontal face in that crop. */
export const POINTS = [
  [218.8, 273.4],
  [293.2, 273.4],
  [256, 313.1],
  [225.1, 355.4],
  [286.9, 355.4],
];

/** The picture is larger than the crop, and the face in it is the crop's at the same scale, off by this. */
const OFFSET = 200;
const PICTURE = 1024;

/** A smooth picture with some structure; `phase` tells one from another. */
export function picture(phase) {
  const data = new Uint8Array(PICTURE * PICTURE * 3);
  for (let y = 0, i = 0; y < PICTURE; y++) {
    for (let x = 0; x < PICTURE; x++) {
      for (let c = 0; c < 3; c++, i++) {
        data[i] = 127.5 + 120 * Math.sin(x / (31 + 7 * c) + phase) * Math.cos(y / (23 + 5 * c) - phase);
      }
    }
  }
  return { width: PICTURE, height: PICTURE, data };
}

/** A detector that knows where the face is. */
export const detector = {
  name: 'a known face',
  detect: async () => [
    {
      box: { left: OFFSET + 176, top: OFFSET + 220, width: 160, height: 190 },
      score: 1,
      points: POINTS.map(([x, y]) => [x + OFFSET, y + OFFSET]),
    },
  ],
};
