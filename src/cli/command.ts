import { Command, InvalidArgumentError, Option } from 'commander';
import type { Io } from './output.js';

/** Makes one command; `exit` sets an exit code other than 0 for one that has come to its end. */
export type CommandFactory = (io: Io, exit: (code: number) => void) => Command;

/** The options that every command has. */
export interface CommonOptions {
  json?: boolean;
  debug?: boolean;
}

/** A command with what all of them share: `--json`, `--debug`, and an example behind the help. */
export function command(name: string, summary: string, examples: readonly string[]): Command {
  return new Command(name)
    .summary(summary)
    .description(`${summary[0].toUpperCase()}${summary.slice(1)}.`)
    .addOption(new Option('--json', 'write JSON to the standard output, and nothing else'))
    .addOption(new Option('--debug', 'show the stack of an error'))
    .addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ ghostkit ${example}`).join('\n')}\n`);
}

/** Parses an option that counts something. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('It must be a positive integer.');
  }
  return value;
}

/** Parses an option that may be zero. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('It must be a whole number.');
  }
  return value;
}

/** What a file of a network may say of its pictures, see `checkPreprocessing`. */
const SIDES = { least: 8, most: 4096 };

/** Parses the side of the pictures that a file is written for. */
export function storedSide(text: string): number {
  const side = positiveInteger(text);
  if (side < SIDES.least || side > SIDES.most) {
    throw new InvalidArgumentError(`It must be from ${SIDES.least} to ${SIDES.most} pixels.`);
  }
  return side;
}

/** Parses a number in the notation of people: not everything that JavaScript takes for one. */
export function decimal(text: string): number {
  const value = Number(text);
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) || !Number.isFinite(value)) {
    throw new InvalidArgumentError('It must be a number, as 0.05 or 1e-3.');
  }
  return value;
}

/** Which weights to take of a training checkpoint that holds two sets. */
export const preferOption = (): Option =>
  new Option('--prefer <which>', 'which weights of a checkpoint that also has averaged ones').choices(['ema', 'model']);
