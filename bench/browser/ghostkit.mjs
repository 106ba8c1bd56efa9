import { loadCompiled } from 'ghostkit/web';
import { simdPeakGmacPerSecond } from '../lib/simd-peak.mjs';
import { floatsOf } from './floats.mjs';
import { serveRuntime } from './serve-runtime.mjs';

serveRuntime(async ({ model, image: imageUrl, threads, relaxed, peak }) => {
  const image = await floatsOf(imageUrl);
  const net = await loadCompiled(model, { threads, relaxed });
  if (net.threads !== threads) throw new Error(`${threads} threads asked for, got ${net.threads}`);
  const facts = { kernels: net.variant, peak: peak ? await simdPeakGmacPerSecond() : undefined };
  return { run: () => net.run({ image }).logits.data, facts };
});
