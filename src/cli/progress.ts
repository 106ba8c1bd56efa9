import { Presets, SingleBar } from 'cli-progress';
import type { Sink } from './output.js';

/** How long a task must have taken before a bar appears: what ends sooner needs none. */
const PATIENCE_MS = 1000;

export interface Progress {
  /** Reports that `done` of the task's steps are behind it. */
  update(done: number): void;
  /** Takes the bar away. */
  stop(): void;
}

/** Progress of a task of `total` steps: a bar when `sink` is a terminal and the task takes over a second, else nothing. */
export function progress(sink: Sink, label: string, total: number): Progress {
  if (!sink.isTTY) return { update: () => {}, stop: () => {} };
  const format = `${label} {bar} {value}/{total}  {eta_formatted} left`;
  const bar = new SingleBar(
    // Its own signal handlers would keep Ctrl-C from ending the process.
    {
      format,
      stream: sink as NodeJS.WritableStream,
      barsize: 24,
      clearOnComplete: true,
      hideCursor: false,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  const began = performance.now();
  let shown = false;
  return {
    update(done) {
      if (shown) bar.update(done);
      else if (performance.now() - began > PATIENCE_MS && done < total) {
        bar.start(total, done);
        shown = true;
      }
    },
    stop() {
      if (shown) bar.stop();
    },
  };
}
