#!/usr/bin/env node
import { enableWideSimd } from '../runtime/platform.js';
import { SIGNAL_EXIT_CODES } from './errors.js';
import { runCli } from './program.js';

// Leaving by `exit` runs what removes half-written files; the default of a signal would not.
for (const [signal, code] of Object.entries(SIGNAL_EXIT_CODES)) {
  process.on(signal, () => {
    // A progress bar may stand there.
    if (process.stderr.isTTY) process.stderr.write('\n');
    process.exit(code);
  });
}

// A reader that has seen enough (`ghostkit models | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

// V8's experiment: should it fail on some machine, this goes without.
if (process.env.GHOSTKIT_WIDE_SIMD !== '0') await enableWideSimd();

process.exitCode = await runCli(process.argv.slice(2), { out: process.stdout, err: process.stderr });
