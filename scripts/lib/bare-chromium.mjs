import { spawn } from 'node:child_process';
import { chromiumFlags, findChromium } from './chromium.mjs';

// A headless Chromium in whose pages nothing looks. What drives browsers for tests has itself told of all that a page does, which on two cores makes the
// start of a page last a tenth longer. Here a page is told where to go and is left alone until the hash of its address says that it is done.

/** Not what a browser does on its own behalf meanwhile. */
const QUIET = [
  '--no-first-run',
  '--no-default-browser-check',
  '--disable-background-networking',
  '--disable-component-update',
];

/** How long a browser may take for one thing (ms). */
const PATIENCE = 120_000;

/** How long a browser is left alone before a visit (ms). */
const REST = 700;

/** Chromium's protocol over a pair of pipes: messages in JSON, with a zero byte behind each. */
class Connection {
  #waiting = new Map();
  #listeners = new Map();
  #count = 0;
  #rest = '';
  #ended;

  constructor(child) {
    const [, , , toBrowser, fromBrowser] = child.stdio;
    this.write = (text) => toBrowser.write(`${text}\0`);
    const end = (why) => {
      this.#ended ??= new Error(`Chromium has ended (${why})`);
      for (const { reject } of this.#waiting.values()) reject(this.#ended);
      this.#waiting.clear();
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ?? code));
    for (const pipe of [toBrowser, fromBrowser]) pipe.on('error', (error) => end(error.message));
    fromBrowser.setEncoding('utf8').on('data', (text) => {
      const messages = (this.#rest + text).split('\0');
      this.#rest = messages.pop();
      for (const message of messages) this.#receive(JSON.parse(message));
    });
  }

  ask(method, params, sessionId) {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = ++this.#count;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.write(JSON.stringify({ id, method, params, sessionId }));
    return soon(answer, method);
  }

  on(event, listener) {
    this.#listeners.set(event, listener);
  }

  #receive({ id, result, error, method, params }) {
    if (id === undefined) return this.#listeners.get(method)?.(params);
    const { resolve, reject } = this.#waiting.get(id) ?? {};
    this.#waiting.delete(id);
    if (error) reject?.(new Error(error.message));
    else resolve?.(result);
  }
}

async function soon(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Chromium: no answer to ${what} in ${PATIENCE / 1000} s`)), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks to be told of pages' addresses; returns the version. */
async function listen(browser) {
  await browser.ask('Target.setDiscoverTargets', { discover: true });
  const { product } = await browser.ask('Browser.getVersion');
  return product.replace(/^.*\//, '');
}

/**
 * Starts one with its cache in a folder. `visit(url, done)` goes to `url` in a new page, waits until the page says `done` by its hash, closes it and
 * resolves with its `globalThis.answer`; rejects where the hash begins with "failed".
 */
export async function startBareChromium(profile) {
  const flags = ['--headless', '--remote-debugging-pipe', `--user-data-dir=${profile}`, ...chromiumFlags, ...QUIET];
  const child = spawn(findChromium(), [...flags, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  const browser = new Connection(child);
  const listeners = new Map();
  browser.on('Target.targetInfoChanged', ({ targetInfo }) => {
    const { hash } = new URL(targetInfo.url);
    listeners.get(targetInfo.targetId)?.(decodeURIComponent(hash.slice(1)));
  });
  const version = await listen(browser).catch((error) => {
    child.kill();
    throw error;
  });

  async function visit(url, done) {
    const { targetId } = await browser.ask('Target.createTarget', { url: 'about:blank' });
    try {
      const { sessionId } = await browser.ask('Target.attachToTarget', { targetId, flatten: true });
      const ended = new Promise((resolve, reject) => {
        listeners.set(targetId, (said) => {
          if (said.startsWith('failed')) reject(new Error(`${url}: ${said}`));
          else if (said === done) resolve();
        });
      });
      ended.catch(() => {});
      // What the page before has left to do, and this one's own beginnings, are no part of a visit.
      await new Promise((resolve) => setTimeout(resolve, REST));
      await browser.ask('Page.navigate', { url }, sessionId);
      await soon(ended, url);
      const { result } = await browser.ask(
        'Runtime.evaluate',
        { expression: 'answer', returnByValue: true },
        sessionId,
      );
      return result.value;
    } finally {
      listeners.delete(targetId);
      await browser.ask('Target.closeTarget', { targetId }).catch(() => {});
    }
  }

  return {
    version,
    visit,
    async close() {
      await browser.ask('Browser.close').catch(() => child.kill());
      await exit;
    },
  };
}
