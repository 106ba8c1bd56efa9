import { Command } from 'commander';
import { packageVersion } from '../formats/package-version.js';
import { benchCommand } from './bench.js';
import { convertCommand } from './convert.js';
import { explainError } from './errors.js';
import { evalCommand } from './eval.js';
import { finetuneCommand } from './finetune.js';
import { infoCommand } from './info.js';
import { modelsCommand } from './models.js';
import { type Io, writeLine } from './output.js';
import { predictCommand } from './predict.js';
import { quantizeCommand } from './quantize.js';
import { swapCommand } from './swap.js';
import { trainCommand } from './train.js';
import { weightsCommand } from './weights.js';

const COMMANDS = [
  modelsCommand,
  infoCommand,
  convertCommand,
  predictCommand,
  trainCommand,
  finetuneCommand,
  evalCommand,
  quantizeCommand,
  benchCommand,
  weightsCommand,
  swapCommand,
];

/** Runs the command line `args` (without `node` and the script) and returns the exit code. It never throws. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  let exitCode = 0;
  const exit = (code: number) => {
    exitCode = code;
  };
  const program = new Command('ghostkit')
    .description('GhostNet and RepGhostNet: exact, fast, in Node and in the browser, with no Python.')
    .version(packageVersion())
    .helpCommand(false)
    .configureHelp({ subcommandTerm: (each) => each.name() })
    .addHelpText('after', '\nghostkit COMMAND --help shows examples.\n');
  for (const create of COMMANDS) program.addCommand(create(io, exit));
  for (const each of [program, ...program.commands]) {
    // Errors are thrown, so that they are written in one place and in one way.
    each
      .exitOverride()
      .configureOutput({ writeOut: (text) => io.out.write(text), writeErr: () => {}, outputError: () => {} })
      .showSuggestionAfterError();
  }
  if (args.length === 0) {
    io.out.write(program.helpInformation());
    return 0;
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    const { line, exitCode } = explainError(error);
    if (line !== undefined) io.err.write(`error: ${line}\n`);
    if (line !== undefined && args.includes('--debug')) {
      for (const frame of stackOf(error).split('\n')) writeLine(io.err, frame);
    }
    return exitCode;
  }
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.stack}\ncaused by: ${stackOf(error.cause)}` : `${error.stack}`;
}
