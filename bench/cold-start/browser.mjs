import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launchChromiumWithCache } from '../../scripts/lib/chromium.mjs';
import { bundle, openSite, requireBrowser, writeNetwork } from '../lib/browser.mjs';
import { networkFor } from '../lib/ghostkit.mjs';
import { machine, median, rounded } from '../lib/measure.mjs';
import { ensurePeers } from '../lib/peers.mjs';

const MODELS = {
  fp32: 'model.ghost.safetensors',
  fp16: 'model-half.ghost.safetensors',
  int8: 'model-int8.ghost.safetensors',
};

/** Every runtime in a page that asks for what it will need as early as it can. `place`: where the network runs. */
const ghostkit = (precision, place) => ({
  ...{ runtime: 'ghostkit', where: 'chromium', precision, place },
  script: 'start-ghostkit',
  query: `?model=${MODELS[precision]}&worker=${place === 'worker'}`,
  preload: ['/kernels/build/relaxed.wasm', `/${MODELS[precision]}`],
});

export const COLD_STARTS = [
  ghostkit('fp32', 'worker'),
  ghostkit('fp32', 'page'),
  ghostkit('fp16', 'page'),
  ghostkit('int8', 'worker'),
  ghostkit('int8', 'page'),
  {
    ...{ runtime: 'onnxruntime-web', where: 'chromium', precision: 'fp32', place: 'page' },
    script: 'start-onnxruntime-web',
    preload: ['/ort/ort-wasm-simd-threaded.wasm', '/model.onnx'],
  },
  {
    ...{ runtime: 'tfjs-wasm', where: 'chromium', precision: 'fp32', place: 'page' },
    script: 'start-tfjs-wasm',
    preload: ['/tfjs/tfjs-backend-wasm-simd.wasm', '/weights.bin'],
  },
];

export const titleOf = ({ runtime, precision, place }) => [runtime, precision, place].filter(Boolean).join('/');

/** Rounds that are not counted: the browser's cache fills, and with it that of the code it has compiled. */
const WARM_UP = 3;

const pageOf = ({ script, preload }) => {
  const links = [
    `<link rel="modulepreload" href="/${script}.js">`,
    ...preload.map((href) => `<link rel="preload" as="fetch" crossorigin href="${href}">`),
  ];
  const body = `<!doctype html><title>start</title><link rel="icon" href="data:,">${links.join('')}<script type="module" src="/${script}.js"></script>`;
  return { body, type: 'text/html' };
};

/** The rows of a network: from navigation to the first result, everything in the browser's cache, every time in a new page. */
export async function measureColdStart(model, asked, runs, log) {
  await requireBrowser();
  const network = networkFor(model);
  const int8 = asked.some(({ precision }) => precision === 'int8') ? await network.int8() : undefined;
  if (int8?.reason) log(`${model} is not measured in int8: ${int8.reason}`);
  const runtimes = asked.filter(({ precision }) => precision !== 'int8' || int8.compiled);
  if (runtimes.some(({ runtime }) => runtime !== 'ghostkit')) await ensurePeers(log);
  const pages = Object.fromEntries(runtimes.map((runtime) => [`/${titleOf(runtime)}`, pageOf(runtime)]));
  const site = await openSite(pages, { isolated: false });
  const profile = mkdtempSync(join(tmpdir(), 'ghostkit-profile-'));
  let browser;
  try {
    await bundle([...new Set(runtimes.map(({ script }) => script))], site.folder);
    writeNetwork(site.folder, network, {
      [MODELS.fp32]: network.compiled(1),
      [MODELS.fp16]: network.compiled(1, { floats: 'float16' }),
      ...(int8?.compiled && { [MODELS.int8]: int8.compiled(1) }),
    });
    browser = await launchChromiumWithCache(profile);
    const times = await startInTurns(browser, site.url, runtimes, runs, log);
    const version = browser.browser()?.version();
    return runtimes.map((runtime) => {
      const { runtime: name, precision, place } = runtime;
      const ms = times.get(runtime);
      return {
        ...{ model, runtime: name, where: 'chromium', threads: 1, precision, place },
        medianMs: rounded(median(ms), 1),
        minMs: rounded(Math.min(...ms), 1),
        runs: ms.length,
        ...{ browser: `Chromium ${version}`, machine },
      };
    });
  } finally {
    await browser?.close();
    await site.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

async function startInTurns(browser, url, runtimes, runs, log) {
  const times = new Map(runtimes.map((runtime) => [runtime, []]));
  /** By precision: int8 has weights of its own. */
  const wanted = {};
  for (let round = -WARM_UP; round < runs; round++) {
    for (const runtime of round % 2 ? [...runtimes].reverse() : runtimes) {
      const page = await browser.newPage();
      const failed = new Promise((_, reject) => page.once('pageerror', reject));
      failed.catch(() => {});
      // The page says when it is done: asking it meanwhile, as waitForFunction does in every frame, would take from its time.
      const answered = page.waitForEvent('console', (message) => message.text() === 'answered');
      answered.catch(() => {});
      await page.goto(`${url}/${titleOf(runtime)}${runtime.query ?? ''}`, { waitUntil: 'commit' });
      await Promise.race([answered, failed]);
      const { ms, logits } = await page.evaluate(() => globalThis.answer);
      await page.close();
      const kind = runtime.precision === 'int8' ? 'int8' : 'float';
      wanted[kind] ??= logits;
      const error = logits.reduce((e, v, i) => Math.max(e, Math.abs(v - wanted[kind][i])), 0);
      const allowed = runtime.precision === 'fp16' ? 1e-2 : 1e-3;
      if (!(error < allowed * Math.max(1, ...wanted[kind])))
        throw new Error(`${titleOf(runtime)}: its logits differ by ${error}`);
      if (round >= 0) times.get(runtime).push(ms);
    }
    if (round >= 0) {
      const line = runtimes.map((each) => `${titleOf(each)} ${times.get(each).at(-1).toFixed(0)} ms`).join(', ');
      log(`round ${round + 1} of ${runs}: ${line}`);
    }
  }
  return times;
}
