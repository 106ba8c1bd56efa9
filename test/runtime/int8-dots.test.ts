import { setFlagsFromString } from 'node:v8';

// Node 20's first compiler has a mistake in the fused dot product, so the kernels take another form of it there (kernels/int8-check.ts). Without
// that compiler they use it; all tests of the int8 kernels run once more so. Later ones do not have the mistake, and some do not bear the flag.
if (process.versions.node.startsWith('20.')) setFlagsFromString('--no-liftoff');
await import('./int8-kernels.test.js');
