/**
 * All runtimes have to compute the same before any of them is timed.
 *
 * @param {string} name the network's, for messages
 * @param {readonly any[]} runners the first is what the others are compared with
 */
export async function checkAgreement(name, runners, log) {
  const [first, ...others] = runners;
  if (!first) return;
  const titleOf = ({ runtime, threads, kernels, precision }) =>
    [runtime, threads, kernels, precision === 'int8' ? precision : undefined].filter(Boolean).join('/');
  // A copy: some return the memory that their next run writes to.
  const wanted = Float32Array.from(await first.run());
  const most = wanted.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  if (!(most > 0)) throw new Error(`${name}: the logits of ${titleOf(first)} are all zero or not numbers`);
  for (const runner of others) {
    const got = await runner.run();
    const error = wanted.reduce((e, v, i) => Math.max(e, Math.abs(v - got[i])), 0);
    const line = `${name}: ${titleOf(runner)} differs from ${titleOf(first)} by at most ${error.toExponential(1)} (logits up to ${most.toPrecision(2)})`;
    log(line);
    if (!(error < 1e-3 * most)) throw new Error(line);
  }
}
