import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['./test/support/setup.ts'],
    reporters: ['default', './test/support/summary-reporter.ts'],
    // A process for each file: V8's flags and wasm memories are per process.
    pool: 'forks',
    maxWorkers: 2,
    // Threads that the sources start inherit it.
    execArgv: ['--import', new URL('./test/support/typescript-threads.mjs', import.meta.url).href],
    // Against hanging only: a test may share its cores with anything.
    testTimeout: 180_000,
  },
});
