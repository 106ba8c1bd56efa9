import type { Unreadable } from '../data/loader/batch.js';
import { printable } from '../formats/text.js';
import { titleOf } from '../models/identify.js';
import type { EpochMetrics } from '../train/metrics-log.js';
import type { StepReport, TrainObserver } from '../train/observer.js';
import { formatPercent, type Io, type Sink, styleFor, writeLine } from './output.js';
import { formatSeconds } from './progress.js';

const REDRAW_MS = 100;
const BAR_WIDTH = 20;
const CLEAR_LINE = '\r\x1b[K';
/** Unreadable pictures that are named, of which the report has all, and links. */
const NAMED = 5;

/** One line at the bottom of a terminal, written anew; nothing where the sink is none. */
class StatusLine {
  private drawn = Number.NEGATIVE_INFINITY;
  private shown = false;

  constructor(private readonly sink: Sink) {}

  draw(text: () => string): void {
    const now = performance.now();
    if (!this.sink.isTTY || now - this.drawn < REDRAW_MS) return;
    this.drawn = now;
    this.shown = true;
    this.sink.write(CLEAR_LINE + text());
  }

  clear(): void {
    if (this.shown) this.sink.write(CLEAR_LINE);
    this.shown = false;
  }
}

function stepLine({ epoch, epochs, step, steps, loss, imagesPerSecond, secondsLeft }: StepReport): string {
  const filled = Math.round((BAR_WIDTH * step) / steps);
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
  const speed = `${imagesPerSecond.toFixed(imagesPerSecond < 10 ? 1 : 0)} pictures/s`;
  return `epoch ${epoch + 1}/${epochs} ${bar} ${step}/${steps}  loss ${loss.toFixed(3)}  ${speed}  ${formatSeconds(secondsLeft)} left`;
}

function epochLine(row: EpochMetrics, epochs: number, isBest: boolean): string {
  const { epoch, trainLoss, valTop1, emaTop1, imagesPerSecond, seconds } = row;
  const width = String(epochs).length;
  const parts = [
    `epoch ${String(epoch + 1).padStart(width)}/${epochs}`,
    `loss ${trainLoss.toFixed(3)}`,
    ...(valTop1 === undefined ? [] : [`top-1 ${formatPercent(valTop1)}`]),
    ...(emaTop1 === undefined ? [] : [`averaged ${formatPercent(emaTop1)}`]),
    `${Math.round(imagesPerSecond)} pictures/s`,
    `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`,
    ...(isBest ? ['best'] : []),
  ];
  return `${parts.join('  ')}\n`;
}

/** Shows a training to a person: a line for each epoch as a result, and the step under way where there is a terminal. */
export function trainingView(io: Io, epochs: number, quiet: boolean): TrainObserver & { end(): void } {
  const line = new StatusLine(io.err);
  const style = styleFor(io.out);
  const told = new Set<string>();
  return {
    start({ data, trained, epoch, step, steps }) {
      reportSkippedLinks(io, data.skippedLinks);
      if (quiet) return;
      const { train, val } = data;
      const pictures = `${train.length} pictures of ${train.classes.length} classes, ${val.length} for validation`;
      io.out.write(`${style('bold', titleOf(trained))}  ${pictures}\n`);
      if (epoch + step === 0) return;
      const where =
        step < steps ? `epoch ${epoch + 1}, step ${step + 1} of ${steps}` : `the evaluation of epoch ${epoch + 1}`;
      writeLine(io.out, `goes on with ${where}`);
    },
    step(report) {
      line.draw(() => stepLine(report));
    },
    evaluation(done, total) {
      line.draw(() => `evaluating ${done}/${total}`);
    },
    unreadable(pictures) {
      line.clear();
      reportUnreadable(io, pictures, told);
    },
    epoch(metrics, isBest) {
      line.clear();
      if (!quiet) io.out.write(epochLine(metrics, epochs, isBest));
    },
    end() {
      line.clear();
    },
  };
}

/** Says what is not in a data set because it is only linked there. */
export function reportSkippedLinks(io: Io, links: readonly string[] = []): void {
  if (links.length === 0) return;
  const few = links.slice(0, NAMED).map((path) => printable(path, 200));
  const more = links.length > NAMED ? ` and ${links.length - NAMED} more` : '';
  const what =
    links.length === 1 ? '1 link leads out of the data and is' : `${links.length} links lead out of the data and are`;
  writeLine(io.err, `warning: ${what} not followed: ${few.join(', ')}${more}`);
}

/** Says how many pictures cannot be read, and which, but none twice. */
export function reportUnreadable(io: Io, pictures: readonly Unreadable[], told = new Set<string>()): void {
  const news = pictures.filter(({ name }) => !told.has(name));
  if (news.length === 0) return;
  for (const { name } of news) told.add(name);
  const few = news.slice(0, NAMED).map(({ name, reason }) => {
    // Reasons begin with the whole path, which the name is the end of.
    const why = reason.replace(/^.*?: (?=[^:]*$)/, '');
    return `${printable(name, 500)} (${why})`;
  });
  const more = news.length > NAMED ? ` and ${news.length - NAMED} more` : '';
  const what = news.length === 1 ? '1 picture cannot be read and is' : `${news.length} pictures cannot be read and are`;
  writeLine(io.err, `warning: ${what} left out: ${few.join(', ')}${more}`);
}
