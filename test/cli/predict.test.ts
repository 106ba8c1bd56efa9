import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { blackPng, encoder, pattern, plain } from '../support/pictures.js';
import { makeLinkedFolders, makePipe, noPipes } from '../support/special-files.js';
import { failure, run, writeBroken, writeCheckpoint } from './run.js';

let folder: string;
let weights: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-predict-'));
  weights = await writeCheckpoint(at('small.safetensors'), 'repghostnet_100');
  const jpeg = await encoder(pattern(300, 200)).jpeg().toBuffer();
  await writeFile(at('photo.jpg'), jpeg);
  await writeFile(at('cut.jpg'), jpeg.subarray(0, jpeg.length >> 1));
  await writeFile(at('text.jpg'), 'no picture\n');
  await writeFile(at('huge.png'), blackPng(30_000, 30_000));
  await encoder(plain(1, 1, [9, 8, 7]))
    .png()
    .toFile(at('dot.png'));
  await encoder(pattern(64, 64)).toColourspace('cmyk').jpeg().toFile(at('cmyk.jpg'));
  await encoder(pattern(64, 64)).toColourspace('rgb16').png().toFile(at('deep.png'));
  const frames = Buffer.concat([pattern(20, 20).data, plain(20, 20, [0, 0, 0]).data]);
  await sharp(frames, { raw: { width: 20, height: 40, channels: 3, pageHeight: 20 } })
    .gif({ delay: [50, 50] })
    .toFile(at('moving.gif'));
  await writeFile(at('ten.txt'), Array.from({ length: 10 }, (_, i) => `thing ${i}\n`).join(''));
  await mkdir(at('album'));
  for (const name of ['2.png', '10.png'])
    await encoder(pattern(30, 20))
      .png()
      .toFile(join(folder, 'album', name));
});
afterAll(() => rm(folder, { recursive: true }));

interface Prediction {
  path: string;
  error?: string;
  top?: { class: number; label?: string; probability: number }[];
}

async function predict(...args: string[]): Promise<Prediction[]> {
  const { out } = await run('predict', '--json', '--weights', weights, ...args);
  return (JSON.parse(out) as { predictions: Prediction[] }).predictions;
}

describe('predict', () => {
  it('shows the best classes of a picture', async () => {
    const { code, out, err } = await run('predict', '--weights', weights, at('photo.jpg'), '--top', '3');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^( *\d+\.\d % {2}class \d\n){3}$/);
  });

  it('gives numbers for machines', async () => {
    const { code, out } = await run('predict', '--json', '--weights', weights, at('photo.jpg'), '--top', '99');
    expect(code).toBe(0);
    const { model, form, preprocessing, predictions } = JSON.parse(out);
    expect({ model, form }).toEqual({ model: 'repghostnet at width 0.3', form: 'deploy' });
    expect(preprocessing).toMatchObject({ size: 224, cropRatio: 0.875, interpolation: 'bicubic' });
    const probabilities: number[] = predictions[0].top.map((guess: { probability: number }) => guess.probability);
    expect(probabilities).toHaveLength(10);
    expect(probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    expect([...probabilities].sort((a, b) => b - a)).toEqual(probabilities);
  });

  it.each(['dot.png', 'cmyk.jpg', 'deep.png', 'moving.gif'])('takes %s', async (name) => {
    const [{ top }] = await predict(at(name), '--size', '64');
    expect(top).toHaveLength(5);
  });

  it.each([
    ['none.jpg', 'there is no such file'],
    ['text.jpg', 'not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)'],
    ['cut.jpg', 'the picture is damaged or cut off (premature end of JPEG image)'],
    ['huge.png', '30000 x 30000 pixels are too many, the limit is 268 million'],
  ])('says what is wrong with %s', async (name, message) => {
    expect(await failure(1, 'predict', '--weights', weights, at(name))).toBe(`${at(name)}: ${message}`);
  });

  it('reports a bad picture and predicts the good ones', async () => {
    const files = ['photo.jpg', 'text.jpg', 'dot.png'].map(at);
    const { code, out, err } = await run('predict', '--weights', weights, ...files, '--top', '1');
    expect(code).toBe(1);
    expect(err).toBe(`error: ${at('text.jpg')}: not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)\n`);
    expect(out.split('\n').map((line) => line.split('  ')[0])).toEqual([at('photo.jpg'), at('dot.png'), '']);
  });

  it('says of a picture that the network gives no numbers for it', async () => {
    const broken = await writeBroken(at('nan.safetensors'), 'repghostnet_100', Number.NaN);
    const args = ['predict', '--weights', broken, at('photo.jpg')];
    const message = `${at('photo.jpg')}: the network gives no numbers for it (NaN or infinity); its weights may be damaged`;
    expect(await failure(1, ...args)).toBe(message);
    const { code, out } = await run(...args, '--json');
    expect(code).toBe(1);
    expect(JSON.parse(out).predictions).toEqual([{ path: at('photo.jpg'), error: message }]);
  });

  it('gives the same for any batch', async () => {
    const files = ['photo.jpg', 'text.jpg', 'dot.png', 'cmyk.jpg', 'deep.png'].map(at);
    const one = await predict(...files, '--size', '64');
    const three = await predict(...files, '--size', '64', '--batch', '3', '--threads', '2');
    expect(three.map(({ path }) => path)).toEqual(files);
    expect(three[1].error).toContain('not a picture');
    for (const [i, { top }] of one.entries()) {
      expect(three[i].top?.map((guess) => guess.class)).toEqual(top?.map((guess) => guess.class));
      for (const [k, { probability }] of (top ?? []).entries()) {
        expect(three[i].top?.[k].probability).toBeCloseTo(probability, 5);
      }
    }
  });

  it('expands globs and folders, in the order of a person', async () => {
    const expected = ['2.png', '10.png'].map((name) => join(folder, 'album', name));
    for (const argument of [at('album'), at('album/*.png')]) {
      expect((await predict(argument, '--size', '32')).map(({ path }) => path)).toEqual(expected);
    }
    expect(await failure(1, 'predict', '--weights', weights, at('album/*.gif'))).toBe(
      `${at('album/*.gif')}: no file matches`,
    );
    makeLinkedFolders(at('linked'), 20);
    await writeFile(at('linked/d20/x.png'), '');
    const { err } = await run('predict', '--weights', weights, at('linked/**/*.png'));
    const found = err.match(/^error: .*x\.png: not a picture/gm) ?? [];
    expect(found.length).toBeGreaterThanOrEqual(1);
    expect(found.length).toBeLessThanOrEqual(16);
    await mkdir(at('empty'));
    expect(await failure(1, 'predict', '--weights', weights, at('empty'))).toContain('no picture in this folder');
  });

  it.skipIf(noPipes)('waits for no pipe', async () => {
    const pipe = makePipe(at('pipe.png'));
    const message = `${pipe}: it is a pipe, not a regular file`;
    expect(await failure(1, 'predict', '--weights', weights, pipe)).toBe(message);
    expect(await failure(1, 'predict', '--weights', pipe, at('dot.png'))).toBe(message);
    expect(await failure(1, 'predict', '--weights', weights, '--labels', pipe, at('dot.png'))).toBe(message);
    expect(await failure(1, 'info', pipe)).toBe(message);
    await rm(pipe);
  });

  it('names the classes as a label file does', async () => {
    await writeFile(at('ten.json'), JSON.stringify(Array.from({ length: 10 }, (_, i) => `thing ${i}`)));
    for (const labels of ['ten.txt', 'ten.json']) {
      const [{ top }] = await predict(at('dot.png'), '--size', '32', '--labels', at(labels));
      expect(top?.every(({ class: i, label }) => label === `thing ${i}`)).toBe(true);
    }
  });

  it('says that a label file is not of this model', async () => {
    await writeFile(at('nine.txt'), 'a\nb\nc\nd\ne\nf\ng\nh\ni\n');
    const message = await failure(1, 'predict', '--weights', weights, at('dot.png'), '--labels', at('nine.txt'));
    expect(message).toBe(`${at('nine.txt')}: 9 names for the 10 classes of the model`);
    await writeFile(at('bad.json'), '{"0": 1}');
    expect(await failure(1, 'predict', '--weights', weights, at('dot.png'), '--labels', at('bad.json'))).toBe(
      `${at('bad.json')}: the label of "0" is not a string`,
    );
  });

  it('says that the weights are of another width, and of which', async () => {
    const message = await failure(1, 'predict', 'repghostnet_050', '--weights', weights, at('dot.png'));
    expect(message).toContain(`${weights}: `);
    expect(message).toContain('the model needs');
    expect(message).toMatch(/these are the weights of repghostnet at width 0\.3$/);
  });

  it('says that it has no weights, and how to give them', async () => {
    vi.stubEnv('GHOSTKIT_CACHE', at('empty-cache'));
    expect(await failure(1, 'predict', 'repghostnet_100', at('photo.jpg'))).toBe(
      'repghostnet_100: its weights are not in the cache; get them with ghostkit weights pull repghostnet_100',
    );
    expect(await failure(1, 'predict', 'ghostnet_050', at('photo.jpg'))).toBe(
      'ghostnet_050: no weights are published for it; give a checkpoint with --weights FILE',
    );
    vi.unstubAllEnvs();
  });

  it('takes the weights that come with it when none are named', async () => {
    const { code, out, err } = await run('predict', '--json', at('photo.jpg'));
    expect([code, err]).toEqual([0, '']);
    const { model, form, preprocessing, predictions } = JSON.parse(out);
    expect([model, form, preprocessing.size]).toEqual(['repghostnet_050', 'deploy', 64]);
    expect(predictions[0].top).toHaveLength(5);
    expect(predictions[0].top[0].label).toMatch(/[a-z]/);
  });

  it('knows an unknown model', async () => {
    expect(await failure(1, 'predict', 'repgostnet_100', at('photo.jpg'))).toBe(
      'unknown model repgostnet_100; did you mean repghostnet_100?',
    );
    expect(await failure(1, 'predict', 'bananas', at('photo.jpg'))).toBe(
      'unknown model bananas; ghostkit models lists them',
    );
    expect(await failure(2, 'predict', 'ghostnet_100', '--weights', weights)).toBe('no picture is given');
  });

  it.each([
    [2, ['--top', '0'], "option '--top <k>' argument '0' is invalid. It must be a positive integer."],
    [2, ['--batch', 'many'], "option '--batch <n>' argument 'many' is invalid. It must be a positive integer."],
    [2, ['--interpolation', 'cubic'], 'Allowed choices are bilinear, bicubic.'],
    [2, ['--treads', '2'], "unknown option '--treads'; did you mean --threads?"],
    [1, ['--threads', '1000'], 'threads: a number from 1 to 64, got 1000'],
    [1, ['--size', '10000'], 'the model needs'],
    [1, ['--size', '100000'], 'pictures of 100000 x 100000 pixels are too large; 10000 a side are the most'],
    [1, ['--size', '100000', '--backend', 'onnx'], 'pictures of 100000 x 100000 pixels are too large'],
    [2, ['--mean', '0x1,0,0'], 'It must be a number, as 0.05 or 1e-3.'],
    [2, ['--mean', '1,2'], 'It must be three numbers.'],
    [2, ['--std', '1,,1'], 'It must be a number, as 0.05 or 1e-3.'],
  ])('exit code %i for %j', async (code, args, message) => {
    expect(await failure(code, 'predict', '--weights', weights, at('dot.png'), ...args)).toContain(message);
  });
});
