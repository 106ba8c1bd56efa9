// A page that starts one runtime, once, and says when its first answer was there.

const SIZE = 224;
export const SHAPE = [1, 3, SIZE, SIZE];

/** A grey picture, which is the same in every layout; what is in it does not matter, and making it takes no time. */
export const image = () => new Float32Array(3 * SIZE * SIZE).fill(0.25);

/** Milliseconds since the navigation began, and the logits that the runtimes have to agree on. */
export function answered(logits) {
  globalThis.answer = { ms: performance.now(), logits: [...logits] };
  console.log('answered');
}
