import { checkTopK, type NamedClass } from '../data/top-classes.js';
import { printable } from '../formats/text.js';
import { type FetchModel, type LoadProgress, loadCompiled } from '../runtime/compiled-file.js';
import { usableThreads } from '../runtime/executor.js';
import { requireSimd } from '../runtime/platform.js';
import { GhostkitError } from '../tensor/error.js';
import type { FloatTensor } from '../tensor/tensor.js';
import { type Classified, Engine, inputsByName, type ModelFacts, type ModelInput, type NamedInputs } from './engine.js';
import { throughCache } from './kept.js';
import type { PictureSource } from './picture.js';
import { startWorker } from './remote.js';

export interface WebLoadOptions {
  /** Called while the model arrives, with bytes. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Whether the model runs in a worker, off the main thread (the default), or on the thread that calls. */
  readonly worker?: boolean;
  /**
   * Threads that share the work: by default one for each core, at most four and what the model was compiled for. One where the page is
   * not cross-origin isolated.
   */
  readonly threads?: number;
  /** Gives up loading: {@link load} then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** `false` leaves out relaxed SIMD, for results that are the same on every machine. */
  readonly relaxed?: boolean;
  /**
   * Keeps the model in the browser's Cache Storage: later visits read it from there, without asking for it by the network. What is kept is
   * used as it is; whether the server has a newer file is asked behind it, for the next visit. Where the browser keeps nothing, as on a
   * page that is not served by HTTPS, the model is fetched as always.
   */
  readonly cache?: boolean;
  /** How the model's URL is asked for, by default with the global `fetch`: for headers, or a cache of your own. Not with `cache`. */
  readonly fetch?: FetchModel;
}

/** A model that a page can ask. */
export interface WebModel extends ModelFacts {
  /**
   * What is on a picture: the `topK` (default 5) most probable classes, the best first.
   *
   * @throws GhostkitError when the picture cannot be read, the network does not take one square picture, or the model is closed.
   */
  classify(source: PictureSource, options?: { readonly topK?: number }): Promise<NamedClass[]>;
  /**
   * The outputs by name (a classifier's is `logits`, `[1, classes]`) for an input that is prepared already, as {@link toTensor} does it:
   * row-major `[N,C,H,W]`, normalised.
   */
  run(input: ModelInput): Promise<Record<string, FloatTensor>>;
  /** Milliseconds that the last picture took to prepare and in the network. */
  readonly timing?: { readonly prepare: number; readonly run: number };
  /** Ends the worker and its threads. */
  close(): void;
}

/** What does the work, in this thread or in another. */
export interface Backend {
  readonly facts: ModelFacts;
  classify(source: PictureSource, topK: number): Promise<Classified>;
  run(inputs: NamedInputs): Promise<Record<string, FloatTensor>>;
  close(): void;
}

/** What pages have of several threads ends about here. */
const MOST_THREADS = 4;

/**
 * Loads a compiled model (`ghostkit convert model.safetensors model.ghost.safetensors`) from a URL, relative to the page's.
 *
 * @throws GhostkitError of one line: when there is no model at the URL, it is damaged, cut off or of another version, the browser has no
 * SIMD, or a file of ghostkit cannot be fetched.
 */
export async function load(url: string | URL, options: WebLoadOptions = {}): Promise<WebModel> {
  const {
    worker = true,
    threads = Math.min(MOST_THREADS, globalThis.navigator?.hardwareConcurrency ?? 1),
    signal,
    cache = false,
  } = options;
  // Without a worker it is asked for while the model is on its way.
  if (worker) requireSimd();
  signal?.throwIfAborted();
  const address = addressOf(url);
  const settings = { ...options, threads: usableThreads(threads) };
  if (cache && options.fetch) throw new GhostkitError('load: cache or fetch, not both');
  const start = (asked: { fetch?: FetchModel }) =>
    worker ? startWorker(address, { ...settings, ...asked }) : startHere(address, { ...settings, ...asked });
  return modelOf(await named(address, () => (cache ? throughCache(address, signal, start) : start({}))));
}

function addressOf(url: string | URL): string {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch (error) {
    throw new GhostkitError(`${printable(String(url), 200)}: this is no address of a model`, { cause: error });
  }
}

/** Says of which file an error tells. */
async function named<T>(url: string, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof GhostkitError) || error.message.startsWith(url)) throw error;
    throw new GhostkitError(`${url}: ${error.message}`, { cause: error });
  }
}

async function startHere(url: string, options: WebLoadOptions & { threads: number }): Promise<Backend> {
  const engine = Engine.of(await loadCompiled(url, options));
  return {
    facts: engine.facts,
    classify: (source, topK) => engine.classify(source, topK),
    run: async (inputs) => engine.run(inputs),
    close: () => engine.close(),
  };
}

function modelOf(backend: Backend): WebModel {
  let timing: WebModel['timing'];
  return {
    ...backend.facts,
    get timing() {
      return timing;
    },
    async classify(source, { topK = 5 } = {}) {
      checkTopK(topK);
      const { top, timing: took } = await backend.classify(source, topK);
      timing = took;
      return top;
    },
    run: async (input) => backend.run(inputsByName(input, backend.facts.inputs)),
    close: () => backend.close(),
  };
}
