import type { LoadedKernels } from '../runtime/executor.js';
import type { FloatTensor } from '../tensor/tensor.js';
import type { Classified, ModelFacts, NamedInputs } from './engine.js';
import type { SendablePicture } from './picture.js';

/** What the page asks of the worker that has the model; the answer has the same number. */
export type Request = { readonly id: number } & (
  | {
      readonly ask: 'load';
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly kernels?: LoadedKernels;
      readonly threads: number;
      readonly relaxed?: boolean;
    }
  | { readonly ask: 'classify'; readonly picture: SendablePicture; readonly topK: number }
  | { readonly ask: 'run'; readonly inputs: NamedInputs }
);

/** Has the worker end its helper threads and then itself; there is no answer. */
export interface Close {
  readonly ask: 'close';
}

export interface Answers {
  load: ModelFacts;
  classify: Classified;
  run: Record<string, FloatTensor>;
}

export type Response =
  | { readonly id: number; readonly answer: Answers[keyof Answers] }
  /** `expected`: the message is meant for people. */
  | { readonly id: number; readonly error: string; readonly expected: boolean };
