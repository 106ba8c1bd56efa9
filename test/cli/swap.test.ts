import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { requireConsent } from '../../src/cli/consent.js';
import { loadImage } from '../../src/data/image.js';
import { applyTransform } from '../../src/headswap/geometry.js';
import { wideTransform } from '../../src/headswap/geometry-crops.js';
import { STAGE_PICTURES } from '../../src/headswap/pipeline.js';
import { COMPOSITE_SOURCE_TYPE } from '../../src/headswap/provenance.js';
import { encoder, pattern } from '../support/pictures.js';
import { failure, run } from './run.js';

const demo = join(dirname(createRequire(import.meta.url).resolve('@vladmandic/face-api/package.json')), 'demo');
const photo = (n: number) => join(demo, `sample${n}.jpg`);

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-swap-'));
  await encoder(pattern(200, 150)).png().toFile(at('nobody.png'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  vi.stubEnv('GHOSTKIT_CONFIG', at('config'));
  vi.stubEnv('GHOSTKIT_CACHE', at('cache'));
});
afterEach(() => vi.unstubAllEnvs());

/** A swap between photographs that must fail, and must leave nothing. */
async function refused(code: number, ...args: string[]): Promise<string> {
  const message = await failure(code, 'swap', '--source', photo(1), '-o', at('out.png'), ...args);
  expect(existsSync(at('out.png'))).toBe(false);
  return message;
}

describe('consent', () => {
  it('is needed, and asked for in one line where nobody can be asked', async () => {
    expect(await refused(1, '--target', photo(5))).toBe(
      'everyone in both pictures must have agreed to this; say so with --consent, or once on a terminal',
    );
  });

  it('is asked for once on a terminal, in plain words', async () => {
    let shown = '';
    const io = { out: { write: () => {} }, err: { write: (text: string) => (shown += text) } };
    await expect(requireConsent(io, false, async () => 'no')).rejects.toThrow('nothing was done');
    await requireConsent(io, false, async (question) => {
      expect(question).toBe('Type yes to agree: ');
      return ' Yes\n';
    });
    expect(shown).toContain('Heads belong to people.');
    await requireConsent(io, false, () => Promise.reject(new Error('asked again')));
    await rm(at('config'), { recursive: true });
    await requireConsent(io, true, () => Promise.reject(new Error('asked')));
    expect(existsSync(at('config'))).toBe(false);
  });
});

describe('swap', () => {
  it('says what is wrong, and writes nothing', async () => {
    const named = ['--consent', '--weights', 'from-names'];
    expect(await refused(1, '--target', photo(5), '--consent')).toBe(
      `${join(at('cache'), 'weights', 'aligner_1020_gaze_final.ckpt')}: there is no such file; ghostkit weights pull ghost2-aligner`,
    );
    expect(await refused(1, '--target', at('none.jpg'), ...named)).toBe(`${at('none.jpg')}: there is no such file`);
    await writeFile(at('text.jpg'), 'no picture');
    expect(await refused(1, '--target', at('text.jpg'), ...named)).toContain('text.jpg: not a picture');
    expect(await refused(1, '--target', at('nobody.png'), '--source-face', '1', ...named)).toMatch(
      /nobody\.png: no face is found/,
    );
    expect(await refused(1, '--target', photo(5), ...named)).toMatch(
      /sample1\.jpg: 3 faces; choose with --source-face N: 1 at /,
    );
    expect(await refused(2, '--target', photo(5), '--backend', 'gpu')).toContain('Allowed choices are ghostkit, cpu,');
    expect(await refused(2, '--target', photo(5), '--face', '0')).toContain('It must be a positive integer.');
    expect(await failure(2, 'swap', '--source', photo(1), '--target', photo(2), '-o', at('out.gif'))).toBe(
      `${at('out.gif')}: the name of the output must end in .png, .jpg, .jpeg, .webp`,
    );
    expect(
      await failure(2, 'swap', '--source', photo(1), '--target', at('nobody.png'), '-o', at('nobody.png')),
    ).toContain('would take the place of a file that it is made from');
    expect(await refused(1, '--target', photo(5), '--consent', '--weights', at('nobody.png'))).toContain(
      'nobody.png: not a folder',
    );
    const another = `${folder}/./nobody.png`;
    expect(await failure(2, 'swap', '--source', photo(1), '--target', at('nobody.png'), '-o', another)).toContain(
      'would take the place of a file that it is made from',
    );
    expect(await failure(2, 'swap', '--source', photo(1), '-o', at('out.png'))).toContain("'--target <picture>'");
  }, 60_000);

  it('refuses before any work what could not be written at its end, or would destroy what it begins with', async () => {
    const begin = ['swap', '--source', photo(1), '--consent', '--weights', 'from-names', '--target'];
    expect(await failure(1, ...begin, photo(5), '-o', at('nowhere/out.png'))).toContain(
      `the folder ${at('nowhere')} does not exist`,
    );
    for (const name of STAGE_PICTURES) {
      const stages = at(`stages of ${name}`);
      await mkdir(stages);
      await copyFile(at('nobody.png'), join(stages, `${name}.png`));
      await symlink(join(stages, `${name}.png`), join(stages, 'target.png'));
      expect(await failure(1, ...begin, join(stages, 'target.png'), '-o', at('out.png'), '--stages', stages)).toBe(
        `${join(stages, name)}.png: a stage's picture would take the place of one that the swap begins with; name another folder`,
      );
      expect(await readdir(stages)).toEqual([`${name}.png`, 'target.png']);
    }
  });

  // The full networks at 512 px, some 500 G multiply-accumulates: half a minute on two cores, more beside other tests. Nothing smaller
  // would show that they fit together.
  it('puts a head into a photograph and leaves the rest of it alone', async () => {
    const args = ['--source', photo(1), '--source-face', '1', '--target', photo(5), '--face', '3', '-o', at('out.png')];
    const { code, out, err } = await run(
      ...[
        'swap',
        ...args,
        '--weights',
        'from-names',
        '--consent',
        '--stages',
        at('stages'),
        '--threads',
        '2',
        '--json',
      ],
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { path, timings, plugins, notes, faces, provenance } = JSON.parse(out);
    expect(path).toBe(at('out.png'));
    expect(Object.keys(timings)).toEqual([
      ...['detect', 'crop', 'mask', 'align', 'parse', 'background', 'blend', 'inpaint', 'paste'],
    ]);
    for (const ms of Object.values(timings)) expect(ms).toBeGreaterThan(0);
    expect(plugins.parse).toBe('landmarks (built in)');
    expect(notes).toContain('the weights are made from their names, not trained: the head is noise');
    expect(provenance.digitalSourceType).toBe(COMPOSITE_SOURCE_TYPE);

    expect(await readdir(at('stages'))).toEqual(
      [
        ...['1-source', '1-target', '2-source-arcface', '2-source-wide', '2-target-wide', '3-source-masked'],
        ...['3-target-masked', '4-aligned', '4-aligned-mask', '5-aligned-parsing', '5-target-parsing', '6-background'],
        ...['6-staged', '7-blended', '7-head-colours', '8-filled', '9-mask', '9-result'],
      ]
        .map((name) => `${name}.png`)
        .sort(),
    );
    expect((await run('info', at('out.png'))).out).toContain(COMPOSITE_SOURCE_TYPE);
    expect((await run('info', join(at('stages'), '7-blended.png'))).out).toContain(COMPOSITE_SOURCE_TYPE);

    const target = await loadImage(photo(5));
    const result = await loadImage(at('out.png'));
    const mask = await loadImage(join(at('stages'), '9-mask.png'));
    const { transform } = wideTransform(faces.target.points);
    const side = mask.width;
    const weightAt = (x: number, y: number) => {
      const inside = x >= 0 && y >= 0 && x < side && y < side;
      return inside ? mask.data[(y * side + x) * 3] : 0;
    };
    let untouched = 0;
    let changed = 0;
    let tooMuch = 0;
    for (let y = 0; y < target.height; y++) {
      for (let x = 0; x < target.width; x++) {
        const [u, v] = applyTransform(transform, [x, y]);
        const [fu, fv] = [Math.floor(u), Math.floor(v)];
        // The weight lies between those around the place; a pixel more on each side for the roundings of positions.
        let most = 0;
        for (let dy = -1; dy <= 2; dy++)
          for (let dx = -1; dx <= 2; dx++) most = Math.max(most, weightAt(fu + dx, fv + dy));
        for (let c = 0; c < 3; c++) {
          const difference = Math.abs(
            target.data[(y * target.width + x) * 3 + c] - result.data[(y * target.width + x) * 3 + c],
          );
          if (most === 0 && difference === 0) untouched++;
          if (difference > 0) changed++;
          // No pixel moves further than its weight lets it: at the edge of the mask the new head comes in from nothing.
          if (difference > most + 1) tooMuch++;
        }
      }
    }
    expect(tooMuch).toBe(0);
    expect(changed).toBeGreaterThan(50_000);
    expect(untouched).toBeGreaterThan(0.8 * target.data.length);
  }, 240_000);
});
