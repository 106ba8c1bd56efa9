import type { Sink } from './output.js';

/** How long a task must have taken before a bar appears: what ends sooner needs none. */
const PATIENCE_MS = 1000;
const REDRAW_MS = 100;
const BAR_WIDTH = 24;
const CLEAR_LINE = '\r\x1b[K';

export interface Progress {
  /** Reports that `done` of the task's steps are behind it. */
  update(done: number): void;
  /** Takes the bar off the screen, until the next update or for good. */
  clear(): void;
}

/** A time as a person waits for it. */
export function formatSeconds(time: number): string {
  const seconds = Math.ceil(time);
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

/**
 * Progress of a task of `total` steps: a bar when `sink` is a terminal and the task takes over a second, else nothing. `format` writes
 * a number of steps.
 */
export function progress(
  sink: Sink,
  label: string,
  total: number,
  format: (steps: number) => string = String,
): Progress {
  const began = performance.now();
  let drawn = Number.NEGATIVE_INFINITY;
  let shown = false;
  return {
    update(done) {
      const now = performance.now();
      if (!sink.isTTY || now - began < PATIENCE_MS || now - drawn < REDRAW_MS || done >= total) return;
      drawn = now;
      shown = true;
      const filled = Math.round((BAR_WIDTH * done) / total);
      const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
      const left = done > 0 ? `  ${formatSeconds(((now - began) / 1000 / done) * (total - done))} left` : '';
      sink.write(`${CLEAR_LINE}${label} ${bar} ${format(done)}/${format(total)}${left}`);
    },
    clear() {
      if (!shown) return;
      sink.write(CLEAR_LINE);
      shown = false;
      drawn = Number.NEGATIVE_INFINITY;
    },
  };
}
