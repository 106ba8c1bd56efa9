import { type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { failure, run } from './run.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

const isWindows = process.platform === 'win32';

interface Ended {
  /** The exit code, or the signal that ended it. */
  readonly code: number | string | null;
  readonly out: string;
  readonly err: string;
}

/** The built command in a process of its own. `during` may do something to it once it runs. */
async function ghostkit(
  args: readonly string[],
  during?: (child: ReturnType<typeof spawn>) => void,
  stdio: StdioOptions = ['ignore', 'pipe', 'pipe'],
): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio });
  let out = '';
  let err = '';
  child.stdout?.on('data', (data) => {
    out += data;
  });
  child.stderr?.on('data', (data) => {
    err += data;
  });
  during?.(child);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code: code ?? signal, out, err };
}

const COMMANDS = ['models', 'info', 'convert', 'predict', 'bench', 'weights'];

describe('the command line', () => {
  it('lists its commands', async () => {
    const { code, out } = await run();
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    expect((await run('--help')).out).toContain('COMMAND --help');
    expect((await run('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each(COMMANDS)('%s --help shows examples', async (name) => {
    const { code, out } = await run(name, '--help');
    expect(code).toBe(0);
    expect(out).toContain(`Examples:\n  $ ghostkit ${name}`);
    expect(out).toContain('--json');
  });

  it('tells the nearest command', async () => {
    expect(await failure(2, 'predct')).toBe("unknown command 'predct'; did you mean predict?");
    expect(await failure(2, 'convert')).toBe("missing required argument 'in'");
    expect(await failure(2, 'models', 'extra')).toContain('too many arguments');
  });

  it('fails in one line, whatever is in a name', async () => {
    expect(await failure(2, 'predct\nnow')).toBe("unknown command 'predct now'");
    expect(await failure(2, 'models', '--one\ntwo')).toBe("unknown option '--one two'");
    expect(await failure(2, 'swap', '--source', 'a.png', '--target', 'b.png', '-o', 'c\nd.gif')).toBe(
      'c d.gif: the name of the output must end in .png, .jpg, .jpeg, .webp',
    );
  });

  it('shows a stack only with --debug', async () => {
    expect((await run('info', 'none.pth')).err.split('\n')).toHaveLength(2);
    expect((await run('info', 'none.pth', '--debug')).err).toMatch(
      /\n +at .*checkpoint-file[\s\S]*caused by: .*ENOENT/,
    );
  });
});

describe('the built command', () => {
  it('writes JSON and nothing else', async () => {
    const { code, out, err } = await ghostkit(['models', '--json']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out).length).toBeGreaterThan(10);
  });

  it('fails in one line', async () => {
    expect(await ghostkit(['predict', 'ghostnet_050', 'none.jpg'])).toEqual({
      code: 1,
      out: '',
      err: 'error: ghostnet_050: no weights are published for it; give a checkpoint with --weights FILE\n',
    });
    expect((await ghostkit(['predict', '--top', '0', 'none.jpg'])).code).toBe(2);
  });

  it.skipIf(isWindows).each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'ends by %s in the middle of what never returns to the event loop',
    async (signal) => {
      const args = ['bench', 'ghostnet_050', '--size', '64', '--runs', '1000000'];
      const { code, out } = await ghostkit(args, (child) => setTimeout(() => child.kill(signal), 2500));
      expect({ code, out }).toEqual({ code: signal, out: '' });
    },
  );

  it.skipIf(process.platform !== 'linux').each([[[]], [['--json']]])(
    'says in one line that its output has no room, with %j',
    async (more) => {
      const full = openSync('/dev/full', 'w');
      const ended = await ghostkit(['models', ...more], undefined, ['ignore', full, 'pipe']);
      closeSync(full);
      expect(ended).toEqual({
        code: 1,
        out: '',
        err: 'error: cannot write to the standard output: no space is left on the disk\n',
      });
    },
  );

  it('ends quietly when its reader does', async () => {
    const { code, err } = await ghostkit(['models'], (child) => child.stdout?.destroy());
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  it('does not load the picture decoder before there is a picture', async () => {
    const script = `
      await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)});
      const { sharedObjects } = process.report.getReport();
      console.log(sharedObjects.filter((path) => path.includes('vips')).length);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (data) => {
      out += data;
    });
    await once(child, 'close');
    expect(out).toBe('0\n');
  });
});
