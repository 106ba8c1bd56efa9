import { writeFile } from 'node:fs/promises';
import { whyNoBrowser } from '../scripts/lib/chromium.mjs';
import { BROWSER_RUNTIMES, measureInBrowser } from './browser.mjs';
import * as coldStart from './cold-start.mjs';
import { measureInNode, runtimesInNode } from './inference.mjs';
import { positive } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';
import { networksOfPapers } from './report/networks.mjs';
import * as size from './size.mjs';

export const summary =
  'everything that is compared, as one HTML file: accuracy against latency, runtimes, size, cold start';

export const options = {
  out: { type: 'string', hint: 'FILE', default: 'ghostkit-report.html', description: 'the file to write' },
  seconds: { type: 'string', hint: 'N', default: '8', description: 'time for each network, in Node and in Chromium' },
  runs: { type: 'string', hint: 'N', default: '9', description: 'cold starts of each runtime' },
  quick: {
    type: 'boolean',
    description: 'few networks, measured shortly: to look at the report rather than at its numbers',
  },
};

/** The network that runtimes are compared on. */
const COMPARED = 'repghostnet_100';

const QUICK = ['ghostnet_050', 'ghostnet_100', 'repghostnet_050', COMPARED, 'mobilenetv3_small_100'];

export async function run(values, log) {
  const seconds = values.quick ? 1 : positive(values, 'seconds');
  const runs = values.quick ? 3 : positive(values, 'runs');
  const networks = networksOfPapers().filter(({ name }) => !values.quick || QUICK.includes(name));
  const names = networks.map(({ name }) => name);
  await ensurePeers(log);
  const missing = await whyNoBrowser();
  if (missing) log(`without a browser: ${missing}`);
  const began = new Date();

  const parts = { size: await size.run({}, log) };
  log('cold starts');
  parts.coldStart = await coldStart.run({ model: COMPARED, runs, where: missing ? 'node' : 'node,chromium' }, log);
  log('in Node');
  parts.node = (await measureInNode(names, runtimesInNode({ int8: true }), { seconds, size: 224 }, log)).map((row) => ({
    ...row,
    where: 'node',
  }));
  if (!missing) {
    log('in Chromium');
    parts.browser = await measureInBrowser(names, BROWSER_RUNTIMES, { seconds, size: 224 }, log);
  }

  // Loaded now: it draws with what the bench installs for itself.
  const { reportPage } = await import('./report/page.mjs');
  const html = reportPage({ networks, compared: COMPARED, parts, began, missing, quick: Boolean(values.quick) });
  await writeFile(values.out, html);
  log(`wrote ${values.out}`);
  return Object.entries(parts).flatMap(([bench, rows]) => rows.map((row) => ({ bench, ...row })));
}
