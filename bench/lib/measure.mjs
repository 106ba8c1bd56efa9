import os from 'node:os';
import { turnOf } from './turn.mjs';

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Rounded to what a measurement can tell. */
export const rounded = (value, digits = 3) => Number(value.toFixed(digits));

/** Where a number was taken: absolute times mean nothing without it. */
export const machine = `${os.cpus()[0]?.model.trim() ?? os.arch()}, ${os.availableParallelism()} cores, Node ${process.versions.node}`;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Lets runners take turns until `seconds` are over, so that the machine's moods hit all of them alike. A turn is one run that is not
 * counted (the others have emptied the caches) and then as many as fit into `turnMs`, two at least. The order turns around from
 * round to round, so that nobody always follows the same neighbour.
 *
 * @template {{ run?(): unknown, turn?(ms: number): Promise<number[]>, settleMs?: number }} R
 * @param {readonly R[]} runners `turn`: takes a whole turn elsewhere; `settleMs`: how long its threads may keep a processor busy after a run
 * @returns {Promise<Map<R, number[]>>} milliseconds of each counted run
 */
export async function takeTurns(runners, { seconds, turnMs = 40, minRounds = 3 }) {
  const times = new Map(runners.map((runner) => [runner, []]));
  const end = performance.now() + seconds * 1000;
  for (let round = 0; round < minRounds || performance.now() < end; round++) {
    for (const runner of round % 2 ? [...runners].reverse() : runners) {
      const ms = await (runner.turn ? runner.turn(turnMs) : turnOf(runner.run, turnMs));
      times.get(runner).push(...ms);
      if (runner.settleMs) await sleep(runner.settleMs);
    }
  }
  return times;
}
