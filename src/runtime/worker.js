// A helper thread, in Node or in a browser: instantiates the kernels over the shared memory and runs what is announced there until it is
// told to stop. JavaScript, so that the same file is the worker of the sources and of the built package.

/**
 * @param {{ module: WebAssembly.Module, memory: WebAssembly.Memory, sync: number, tid: number, threads: number }} data
 * @param {(message: string) => void} post
 */
function serve({ module, memory, sync, tid, threads }, post) {
  // At once, as threads may everywhere; see platform.ts for why.
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const work = /** @type {(sync: number, tid: number, threads: number) => void} */ (exports.work);
  post('ready');
  try {
    work(sync, tid, threads);
  } catch {
    // A trap: the others must not wait for this thread (kernels/threads.ts). Whoever started the program tells of it.
    Atomics.store(new Int32Array(memory.buffer, sync, 8), 6, 1);
  }
}

// No await at the top level: Vite makes classic scripts of workers, which have none.
if (typeof process !== 'undefined' && process.versions?.node) {
  const name = 'node:worker_threads';
  import(/* @vite-ignore */ name).then(({ parentPort, workerData }) =>
    serve(workerData, (message) => parentPort.postMessage(message)),
  );
} else {
  self.onmessage = (event) => {
    serve(event.data, (message) => self.postMessage(message));
    self.close();
  };
}
