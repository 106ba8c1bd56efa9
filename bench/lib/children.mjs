import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** The Python that peers are asked of. */
export const python = process.env.GHOSTKIT_PYTHON ?? 'python3';

/** The version of PyTorch, or undefined where there is none. */
export function torchVersion() {
  return new Promise((resolve) => {
    const child = spawn(python, ['-c', 'import torch; print(torch.__version__)'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let out = '';
    child.stdout.on('data', (data) => {
      out += data;
    });
    child.on('error', () => resolve(undefined));
    child.on('close', (code) => resolve(code === 0 ? out.trim() : undefined));
  });
}

/**
 * A process with one runtime in it, ready to run: it answers with a line of JSON, first when it is ready, then to every line that it is
 * asked.
 */
export async function startChild(command, args) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${command} ended before it answered`);
      // Some runtimes greet on standard output.
      if (value.startsWith('{')) return JSON.parse(value);
    }
  };
  return {
    ready: await answer(),
    ask(line) {
      child.stdin.write(`${line}\n`);
      return answer();
    },
    stop() {
      child.stdin.end();
    },
  };
}
