import { createRequire } from 'node:module';

// The chart library, among what the benches install for themselves, and a document for it to draw in.
const require = createRequire(new URL('../peers/package.json', import.meta.url));
export const Plot = await import(require.resolve('@observablehq/plot'));
const { parseHTML } = await import(require.resolve('linkedom'));
export const { document } = parseHTML('<!doctype html><html><body></body></html>');
