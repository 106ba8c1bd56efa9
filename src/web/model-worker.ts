import { messageOf } from '../formats/text.js';
import { loadCompiledBytes } from '../runtime/compiled-file.js';
import { provideKernels } from '../runtime/executor.js';
import { GhostkitError } from '../tensor/error.js';
import { Engine } from './engine.js';
import type { Answers, Close, Request, Response } from './protocol.js';

// The worker in which a page's model runs.

let loading: Promise<Engine> | undefined;

const post = (response: Response, transfer: Transferable[] = []) =>
  (self as unknown as { postMessage(message: Response, transfer: Transferable[]): void }).postMessage(
    response,
    transfer,
  );

async function answer(request: Request): Promise<{ answer: Answers[keyof Answers]; transfer?: Transferable[] }> {
  if (request.ask === 'load') {
    const { bytes, kernels, threads, relaxed } = request;
    if (kernels) provideKernels(kernels);
    loading = loadCompiledBytes(bytes, { threads, relaxed }).then(Engine.of);
    return { answer: (await loading).facts };
  }
  const engine = await loading;
  if (!engine) throw new GhostkitError('the model is not loaded');
  if (request.ask === 'run') {
    const outputs = engine.run(request.inputs);
    return { answer: outputs, transfer: Object.values(outputs).map(({ data }) => data.buffer as ArrayBuffer) };
  }
  const { picture, topK } = request;
  try {
    return { answer: await engine.classify(picture, topK) };
  } finally {
    if (typeof ImageBitmap !== 'undefined' && picture instanceof ImageBitmap) picture.close();
  }
}

/** Ends the helper threads first: while they wait for work they do not see that this one is gone. */
async function close(): Promise<void> {
  await loading?.then((engine) => engine.close()).catch(() => {});
  self.close();
}

self.onmessage = async ({ data: request }: MessageEvent<Request | Close>) => {
  if (request.ask === 'close') return close();
  const { id } = request;
  try {
    const { answer: result, transfer } = await answer(request);
    post({ id, answer: result }, transfer);
  } catch (error) {
    post({ id, error: messageOf(error), expected: error instanceof GhostkitError });
  }
};

self.onmessageerror = () => {
  throw new Error('what the page sent cannot be read');
};
