#!/usr/bin/env node
import { enableWideSimd } from '../runtime/platform.js';
import { runCli } from './program.js';
import { watchStreams } from './streams.js';

watchStreams();

// V8's experiment: should it fail on some machine, this goes without.
if (process.env.GHOSTKIT_WIDE_SIMD !== '0') await enableWideSimd();

process.exitCode = await runCli(process.argv.slice(2), { out: process.stdout, err: process.stderr });
