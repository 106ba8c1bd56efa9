import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../bench/main.mjs', import.meta.url));
const bench = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });

describe('npm run bench', () => {
  it('names the benches when it does not know one', () => {
    const { status, stdout, stderr } = bench('nothing');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/there is no nothing; the benches are .*cold-start, .*inference/);
  });

  it('says in one line what is wrong with an option', () => {
    expect(bench('inference', '--seconds', 'x').stderr).toBe('bench: --seconds: a positive number, got x\n');
    expect(bench('inference', '--models', 'repghostnet_055').stderr).toMatch(/^bench: unknown model .*\n$/);
  });

  it('prints rows and nothing else with --json', () => {
    const { status, stdout } = bench(
      ...[
        'inference',
        '--models',
        'repghostnet_050',
        '--size',
        '64',
        '--filter',
        'ghostkit',
        '--seconds',
        '0.1',
        '--json',
      ],
    );
    expect(status).toBe(0);
    const { rows } = JSON.parse(stdout);
    expect(rows.map(({ runtime, threads }: Record<string, unknown>) => [runtime, threads])).toEqual([
      ['ghostkit', 1],
      ['ghostkit', 2],
    ]);
    expect(rows[0]).toMatchObject({ model: 'repghostnet_050', precision: 'fp32' });
    expect(rows[0].medianMs).toBeGreaterThan(0);
    expect(rows[0].shareOfPeak).toBeGreaterThan(0);
  });

  it('measures training steps', () => {
    const small = ['--models', 'repghostnet_050', '--size', '32', '--batch', '2', '--rounds', '1'];
    const { status, stdout } = bench('training', ...small, '--filter', 'ghostkit', '--json');
    expect(status).toBe(0);
    const [row] = JSON.parse(stdout).rows;
    expect(row).toMatchObject({ model: 'repghostnet_050', runtime: 'ghostkit', threads: 2, steps: 3 });
    expect(row.imagesPerSecond).toBeGreaterThan(0);
    expect(row.peakMemoryMB).toBeGreaterThan(10);
    expect(bench('training', '--models', 'mobilenetv3_small_100').stderr).toMatch(/only the Ghost family is written/);
  });
});
