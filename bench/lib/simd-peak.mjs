/**
 * The most multiply-accumulates a second that one thread of WebAssembly can do here: a loop of nothing but them, in registers. What any
 * fp32 kernel can at best come near to.
 */

const leb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
const section = (id, ...bytes) => [id, ...leb(bytes.length), ...bytes];
const get = (i) => [0x20, ...leb(i)];
const set = (i) => [0x21, ...leb(i)];
const splat = (value) => [0x43, ...new Uint8Array(Float32Array.of(value).buffer), 0xfd, 0x13];

const MUL = [0xfd, 0xe6, 0x01];
const ADD = [0xfd, 0xe4, 0x01];
/** `f32x4.relaxed_madd`, one instruction where the processor has a fused one. */
const MADD = [0xfd, 0x85, 0x02];
const UNROLL = 4;

/** `(n: i32) -> f32`: `n` times UNROLL steps `a = a * x + y` of each of `accumulators` vectors. */
function peakModule(accumulators, fused) {
  const [X, Y] = [1, 2];
  const all = Array.from({ length: accumulators }, (_, i) => i + 3);
  const step = all.flatMap((a) => [
    ...get(a),
    ...get(X),
    ...(fused ? [...get(Y), ...MADD] : [...MUL, ...get(Y), ...ADD]),
    ...set(a),
  ]);
  const body = [
    // Locals: all but `n` are vectors.
    ...[1, ...leb(accumulators + 2), 0x7b],
    // A fixed point at 1: neither infinite nor denormal numbers, which would be slow.
    ...[...splat(0.75), ...set(X), ...splat(0.25), ...set(Y)],
    ...all.flatMap((a) => [...splat(a), ...set(a)]),
    ...[0x03, 0x40],
    ...Array.from({ length: UNROLL }, () => step).flat(),
    // n = n - 1, again while it is not 0.
    ...[...get(0), 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b],
    ...get(all[0]),
    ...all.slice(1).flatMap((a) => [...get(a), ...ADD]),
    ...[0xfd, 0x1f, 0, 0x0b],
  ];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, 0x60, 1, 0x7f, 1, 0x7d),
    ...section(3, 1, 0),
    ...section(7, 1, 1, 'f'.charCodeAt(0), 0, 0),
    ...section(10, 1, ...leb(body.length), ...body),
  ]);
}

/** Multiply-accumulates per second in 1e9, the best of several loops. Takes about `ms`. */
export async function simdPeakGmacPerSecond(ms = 200) {
  const iterations = 20_000;
  const fused = WebAssembly.validate(peakModule(8, true));
  const loops = await Promise.all(
    [8, 10, 12].map(async (accumulators) => {
      const { instance } = await WebAssembly.instantiate(peakModule(accumulators, fused));
      return { f: instance.exports.f, macs: iterations * UNROLL * accumulators * 4 };
    }),
  );
  let best = 0;
  const end = performance.now() + ms;
  while (performance.now() < end) {
    for (const { f, macs } of loops) {
      const start = performance.now();
      f(iterations);
      best = Math.max(best, macs / (performance.now() - start) / 1e6);
    }
  }
  return best;
}
