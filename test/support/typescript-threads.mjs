// Lets threads that the sources start run the sources: Node 20 knows no TypeScript, and Vitest translates only what it imports itself.
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

if (!isMainThread) register('./typescript-hooks.mjs', import.meta.url);
