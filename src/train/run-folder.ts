import { access, lstat, mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Dataset } from '../data/dataset.js';
import type { Unreadable } from '../data/loader/batch.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { messageOf, printable } from '../formats/text.js';
import { titleOf } from '../models/identify.js';
import { GhostkitError } from '../tensor/error.js';
import type { TrainConfig } from './config.js';
import type { Evaluation } from './metrics.js';
import { type EpochMetrics, formatMetrics, parseMetrics } from './metrics-log.js';
import { renderReport, type ShownMistake, thumbnail } from './report/report.js';
import type { TrainingData } from './training-data.js';
import type { TrainedModel } from './training-model.js';

function missing(path: string): never {
  throw new GhostkitError(
    `${printable(path, 500)}: it is not there, and the training's best network was in it; put it back, or begin anew in another folder`,
  );
}

/** Where a training keeps what it makes. */
export class RunFolder {
  private rows: EpochMetrics[] = [];

  constructor(readonly path: string) {}

  /** The training as it stands, to go on from. */
  get last(): string {
    return join(this.path, 'last.safetensors');
  }

  /** The network of the best epoch so far. */
  get best(): string {
    return join(this.path, 'best.safetensors');
  }

  /** What a finished training has made: the best network. */
  get model(): string {
    return join(this.path, 'model.safetensors');
  }

  get metricsFile(): string {
    return join(this.path, 'metrics.jsonl');
  }

  get report(): string {
    return join(this.path, 'report.html');
  }

  /** The metrics of the epochs so far. */
  get metrics(): readonly EpochMetrics[] {
    return this.rows;
  }

  /**
   * Makes the folder, and reads the metrics of the epochs before `epoch` in it. Where nothing can be written there, it is better known now than
   * behind an epoch.
   */
  async open(epoch: number): Promise<void> {
    try {
      await mkdir(this.path, { recursive: true });
    } catch (error) {
      throw new GhostkitError(`cannot make the folder ${printable(this.path, 500)}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    await this.tidy();
    const probe = join(this.path, '.metrics.jsonl.probe');
    await writeFileAtomic(probe, '');
    await unlink(probe);
    const text = epoch > 0 ? await readFile(this.metricsFile, 'utf8').catch(() => '') : '';
    this.rows = parseMetrics(text).filter((row) => row.epoch < epoch);
  }

  /** Removes what a process that was killed left half-written. */
  private async tidy(): Promise<void> {
    const names = await readdir(this.path);
    const ours = [this.last, this.best, this.model, this.metricsFile, this.report].map((path) => `.${basename(path)}.`);
    const stale = names.filter((name) => name.endsWith('.tmp') && ours.some((start) => name.startsWith(start)));
    await Promise.all(stale.map((name) => unlink(join(this.path, name)).catch(() => {})));
  }

  /**
   * Throws a {@link GhostkitError} when there is something that a new training would put its own in place of. It may be the weights that the
   * training is to begin with.
   */
  async checkUnused(): Promise<void> {
    for (const path of [this.best, this.model, this.metricsFile, this.report]) {
      const isThere = await lstat(path).then(
        () => true,
        () => false,
      );
      if (!isThere) continue;
      throw new GhostkitError(
        `${printable(this.path, 500)}: a new training would overwrite the ${basename(path)} there; name another folder, or move it away`,
      );
    }
  }

  /** Adds an epoch's line. The file is written whole, so that a full disk or a killed process leaves no half line. */
  async addMetrics(row: EpochMetrics): Promise<void> {
    this.rows.push(row);
    await writeFileAtomic(this.metricsFile, this.rows.map(formatMetrics).join(''));
  }

  /** Gives the best network its final name. */
  async finish(): Promise<void> {
    await writeFileAtomic(this.model, await readFile(this.best).catch(() => missing(this.best)));
  }

  /** Throws a {@link GhostkitError} when the best network so far, which may turn out to be the best of all, is not there. */
  async checkBest(): Promise<void> {
    await access(this.best).catch(() => missing(this.best));
  }

  /** Writes the report about an evaluation. */
  async writeReport({ config, trained, data, unreadable, epoch }: ReportSource, evaluation: Evaluation): Promise<void> {
    const title = titleOf(trained);
    const html = renderReport({
      title: `${config.finetune ? 'Fine-tuning' : 'Training'} of ${title}`,
      metrics: this.rows,
      epoch,
      classes: data.val.classes,
      confusion: evaluation.confusion,
      mistakes: await Promise.all(evaluation.mistakes.map((mistake) => shownMistake(mistake, data.val))),
      settings: config,
      unreadable,
      facts: [
        ['model', title],
        ['parameters', `${(trained.model.parameterCount() / 1e6).toFixed(2)} M`],
        ['pictures', `${data.train.length} to train on, ${data.val.length} for validation`],
        ['classes', String(data.val.classes.length)],
      ],
    });
    await writeFileAtomic(this.report, html);
  }
}

/** What a report is about, beside the evaluation. */
export interface ReportSource {
  readonly config: TrainConfig;
  readonly trained: TrainedModel;
  readonly data: TrainingData;
  readonly unreadable: readonly Unreadable[];
  /** The epoch of the evaluation, counted from 0. */
  readonly epoch: number;
}

async function shownMistake(mistake: Omit<ShownMistake, 'name' | 'picture'>, val: Dataset): Promise<ShownMistake> {
  const { index } = mistake;
  const picture = await val
    .pixels(index, { shortSide: 160 })
    .then(thumbnail)
    .catch(() => undefined);
  return { ...mistake, name: val.name(index), ...(picture && { picture }) };
}
