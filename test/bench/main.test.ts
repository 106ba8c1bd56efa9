import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { whyNoBrowser } from '../../scripts/lib/chromium.mjs';

const noBrowser = await whyNoBrowser();
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
    const { status, stdout } = bench('training', ...small, '--nodes', 'own', '--filter', 'ghostkit', '--json');
    expect(status).toBe(0);
    const [row] = JSON.parse(stdout).rows;
    expect(row).toMatchObject({ model: 'repghostnet_050', runtime: 'ghostkit', threads: 2, steps: 3 });
    expect(row.imagesPerSecond).toBeGreaterThan(0);
    expect(row.peakMemoryMB).toBeGreaterThan(10);
    expect(bench('training', '--nodes', 'old').stderr).toBe('bench: --nodes: own or newest, got old\n');
    expect(bench('training', '--models', 'mobilenetv3_small_100').stderr).toMatch(/only the Ghost family is written/);
  });

  it('tells how much a page downloads', () => {
    const { status, stdout } = bench('size', '--filter', 'ghostkit', '--json');
    expect(status).toBe(0);
    const [row, ...others] = JSON.parse(stdout).rows;
    expect(others).toEqual([]);
    expect(row).toMatchObject({ runtime: 'ghostkit', files: 4 });
    expect(row.gzipBytes).toBeGreaterThan(20_000);
    expect(row.gzipBytes).toBeLessThan(60_000);
  });

  it.skipIf(noBrowser)('measures in Chromium', () => {
    const small = ['--models', 'repghostnet_050', '--size', '64', '--seconds', '0.1'];
    const { status, stdout } = bench('browser', ...small, '--filter', 'ghostkit/1/relaxed/fp32,ghostkit/2', '--json');
    expect(status).toBe(0);
    const { rows } = JSON.parse(stdout);
    const told = rows.map(({ runtime, where, threads, kernels, precision }: Record<string, unknown>) =>
      [runtime, where, threads, kernels, precision].join(' '),
    );
    expect(told[0]).toBe('ghostkit chromium 1 relaxed fp32');
    if (availableParallelism() > 1) expect(told).toContain('ghostkit chromium 2 relaxed int8');
    for (const { medianMs, runs } of rows) {
      expect(medianMs).toBeGreaterThan(0);
      expect(runs).toBeGreaterThan(3);
    }
  });

  it.skipIf(noBrowser)('measures cold starts in Chromium', () => {
    const { status, stdout } = bench('cold-start', '--runs', '1', '--filter', 'ghostkit/fp16', '--json');
    expect(status).toBe(0);
    const [row] = JSON.parse(stdout).rows;
    expect(row).toMatchObject({ runtime: 'ghostkit', where: 'chromium', precision: 'fp16', place: 'page' });
    expect(row.medianMs).toBeGreaterThan(1);
  });

  it('says in one line that there is no browser', () => {
    const { status, stderr } = spawnSync(process.execPath, [script, 'browser', '--filter', 'ghostkit/1/simd/fp32'], {
      encoding: 'utf8',
      env: { ...process.env, GHOSTKIT_CHROMIUM: '/nowhere' },
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^bench: there is no Chromium here; .*GHOSTKIT_CHROMIUM\n$/);
  });
});
