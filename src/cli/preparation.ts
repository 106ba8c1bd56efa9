import { type Command, InvalidArgumentError } from 'commander';
import { decimal } from './command.js';

/** Adds the options for networks whose file does not say what was subtracted from their pictures. */
export function withPreparation(command: Command): Command {
  return command
    .option(
      '--mean <r,g,b>',
      'subtracted from pixels of 0 to 1 (default: as it was trained, else as on ImageNet)',
      triple,
    )
    .option('--std <r,g,b>', 'divided by after that', deviations);
}

function triple(text: string): [number, number, number] {
  const numbers = text.split(',').map((part) => decimal(part.trim()));
  if (numbers.length !== 3) throw new InvalidArgumentError('It must be three numbers.');
  return [numbers[0], numbers[1], numbers[2]];
}

function deviations(text: string): [number, number, number] {
  const numbers = triple(text);
  if (numbers.some((v) => v <= 0)) throw new InvalidArgumentError('They must be positive.');
  return numbers;
}
