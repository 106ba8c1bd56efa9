import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBareChromium } from '../../scripts/lib/bare-chromium.mjs';
import { findChromium } from '../../scripts/lib/chromium.mjs';
import { bundle, openSite, requireBrowser, writeNetwork } from '../lib/browser.mjs';
import { networkFor } from '../lib/ghostkit.mjs';
import { machine, median, rounded } from '../lib/measure.mjs';
import { ensurePeers } from '../lib/peers.mjs';

const MODELS = {
  fp32: 'model.ghost.safetensors',
  fp16: 'model-half.ghost.safetensors',
  int8: 'model-int8.ghost.safetensors',
};

/**
 * Every runtime in a page that has its script in it. `preload`: what links in front of the script ask for; nothing for ghostkit, whose script they delay
 * by more than they bring. `place`: where the network runs. `visit`: the first, on which the browser has the files and no compiled code, or another
 * after one of some seconds, from which it has kept the code that it found worth keeping. `store`: where the weights are, in the browser's HTTP cache
 * or in Cache Storage, which a page reads faster; a peer has its WebAssembly there too, since that is faster for it.
 */
const ghostkit = (precision, place, { visit = 'first', store = 'http-cache' } = {}) => ({
  ...{ runtime: 'ghostkit', where: 'chromium', precision, place, visit, store },
  script: 'start-ghostkit',
  query: `?model=${MODELS[precision]}&worker=${place === 'worker'}&store=${store}`,
  preload: [],
});
const peer = (runtime, preload, { visit = 'first', store = 'http-cache' } = {}) => ({
  ...{ runtime, where: 'chromium', precision: 'fp32', place: 'page', visit, store },
  script: `start-${runtime}`,
  query: `?store=${store}`,
  preload,
});
const stored = { store: 'cache-storage' };

export const COLD_STARTS = [
  ghostkit('fp32', 'worker'),
  ghostkit('fp32', 'page'),
  ghostkit('fp16', 'page'),
  ghostkit('int8', 'worker'),
  ghostkit('int8', 'page'),
  ghostkit('int8', 'worker', stored),
  ghostkit('int8', 'page', stored),
  peer('onnxruntime-web', ['/ort/ort-wasm-simd-threaded.wasm', '/model.onnx']),
  peer('onnxruntime-web', [], stored),
  peer('tfjs-wasm', ['/tfjs/tfjs-backend-wasm-simd.wasm', '/weights.bin']),
  // Without preloading WebAssembly: with it, Chromium was never seen to use the compiled code that it had kept.
  peer('onnxruntime-web', ['/model.onnx'], { visit: 'again' }),
  peer('tfjs-wasm', ['/weights.bin'], { visit: 'again' }),
  ghostkit('int8', 'page', { visit: 'again' }),
];

export const titleOf = ({ runtime, precision, place, visit, store }) =>
  [runtime, precision, place, visit === 'again' && visit, store === 'cache-storage' && store].filter(Boolean).join('/');

/** Rounds that are not counted: the browser's cache fills. */
const WARM_UP = 3;

/** At the root: an inline script finds its workers and kernels relative to the page. */
const pathOf = (runtime) => `/${titleOf(runtime).replaceAll('/', '-')}`;

function pageOf({ script, preload }, folder) {
  const links = preload.map((href) => `<link rel="preload" as="fetch" crossorigin href="${href}">`).join('');
  const text = readFileSync(join(folder, `${script}.js`), 'utf8').replaceAll('</script', '<\\/script');
  const body = `<!doctype html><title>start</title><link rel="icon" href="data:,">${links}<script type="module">${text}</script>`;
  return { body, type: 'text/html' };
}

/** The rows of a network: from navigation to the first result, everything in the browser's cache, every time in a new page. */
export async function measureColdStart(model, asked, runs, log) {
  await requireBrowser();
  const network = networkFor(model);
  const int8 = asked.some(({ precision }) => precision === 'int8') ? await network.int8() : undefined;
  if (int8?.reason) log(`${model} is not measured in int8: ${int8.reason}`);
  const runtimes = asked.filter(({ precision }) => precision !== 'int8' || int8.compiled);
  if (runtimes.some(({ runtime }) => runtime !== 'ghostkit')) await ensurePeers(log);
  const pages = {};
  const site = await openSite(pages, { isolated: false });
  try {
    await bundle([...new Set(runtimes.map(({ script }) => script))], site.folder);
    for (const runtime of runtimes) pages[pathOf(runtime)] = pageOf(runtime, site.folder);
    writeNetwork(site.folder, network, {
      [MODELS.fp32]: network.compiled(1),
      [MODELS.fp16]: network.compiled(1, { floats: 'float16' }),
      ...(int8?.compiled && { [MODELS.int8]: int8.compiled(1) }),
    });
    const rows = [];
    for (const visit of ['first', 'again']) {
      const together = runtimes.filter((runtime) => runtime.visit === visit);
      if (together.length > 0) rows.push(...(await measureVisits(model, site.url, together, runs, log)));
    }
    return rows;
  } finally {
    await site.close();
  }
}

/** The rows of some runtimes in a browser with a cache of its own. */
async function measureVisits(model, url, runtimes, runs, log) {
  const profile = mkdtempSync(join(tmpdir(), 'ghostkit-profile-'));
  let browser;
  try {
    browser = await startBareChromium(profile);
    const times = await startInTurns(browser, url, runtimes, runs, log);
    const shell = findChromium().endsWith('headless-shell') ? ', headless shell' : '';
    const version = `Chromium ${browser.version}${shell}`;
    return runtimes.map((runtime) => {
      const { runtime: name, precision, place, visit, store } = runtime;
      const ms = times.get(runtime);
      return {
        ...{ model, runtime: name, where: 'chromium', threads: 1, precision, place, visit, store },
        medianMs: rounded(median(ms), 1),
        minMs: rounded(Math.min(...ms), 1),
        runs: ms.length,
        ...{ browser: version, machine },
      };
    });
  } finally {
    await browser?.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

async function startInTurns(browser, url, runtimes, runs, log) {
  const times = new Map(runtimes.map((runtime) => [runtime, []]));
  /** By precision: int8 has weights of its own. */
  const wanted = {};
  for (let round = -WARM_UP; round < runs; round++) {
    for (const runtime of round % 2 ? [...runtimes].reverse() : runtimes) {
      const stored = runtime.store === 'cache-storage';
      const stays = round < 0 && (runtime.visit === 'again' || stored);
      const address = `${url}${pathOf(runtime)}${runtime.query}${stays ? '&stay' : ''}`;
      const { ms, logits, fetched } = await browser.visit(address, stays ? 'stayed' : 'answered');
      if (round >= 0 && stored && fetched.some((path) => /\.(onnx|safetensors)$/.test(path)))
        throw new Error(`${titleOf(runtime)}: its model was fetched and not in Cache Storage`);
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
