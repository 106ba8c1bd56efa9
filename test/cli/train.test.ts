import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { preprocessingFor } from '../../src/classify/model-source.js';
import { METADATA } from '../../src/formats/metadata.js';
import { writeSafetensors } from '../../src/formats/safetensors.js';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { createModel } from '../../src/models/registry.js';
import { readTrainingCheckpoint } from '../../src/train/checkpoint.js';
import { resolveConfig } from '../../src/train/resolve-config.js';
import { createTrainedModel, readTrainable, settingsOf, transferWeights } from '../../src/train/training-model.js';
import { SHAPES, writeShapes } from '../support/shapes.js';
import { failure, run, writeCheckpoint } from './run.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

/** A network of some ten thousand weights, on one thread: its speed is that of the machine, its result always the same. */
const TINY = ['--size', '32', '--threads', '1', '--workers', '0', '--set', 'width=0.25', '--set', 'stemStride=1'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-train-'));
  await writeShapes(at('shapes'), 40);
  await writeShapes(at('few'), 6);
  await writeCheckpoint(at('three.safetensors'), 'repghostnet_050', { classes: 3 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function trained(output: string): Promise<{ valTop1: number; emaTop1?: number }[]> {
  const text = await readFile(join(output, 'metrics.jsonl'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('a first loop', () => {
  it('trains, reports, predicts and evaluates', async () => {
    const output = at('first');
    const ran = await run(
      'train',
      at('shapes'),
      '-o',
      output,
      ...TINY,
      '--epochs',
      '6',
      '--batch',
      '12',
      '--lr',
      '0.1',
    );
    expect({ code: ran.code, err: ran.err }).toEqual({ code: 0, err: '' });
    expect(ran.out).toMatch(/^repghostnet at width 0.25 {2}108 pictures of 3 classes, 12 for validation\n/);
    expect(ran.out).toMatch(/epoch 6\/6 {2}loss \d\.\d+ {2}top-1 .* %/);
    const rows = await trained(output);
    expect(rows).toHaveLength(6);
    expect(Math.max(...rows.map(({ valTop1, emaTop1 = 0 }) => Math.max(valTop1, emaTop1)))).toBeGreaterThan(0.9);
    const report = await readFile(join(output, 'report.html'), 'utf8');
    for (const text of ['Training of repghostnet at width 0.25', 'circle', 'Top-1 accuracy', 'optimizer.lr']) {
      expect(report).toContain(text);
    }
    // What it shows is the network that is kept.
    const [, kept] = /^best: .* in epoch (\d+)/m.exec(ran.out) ?? [];
    expect(report).toContain(`the network of epoch ${kept}.`);

    const weights = join(output, 'model.safetensors');
    const { out } = await run(
      'predict',
      '--json',
      '--weights',
      weights,
      at('few'),
      ...SHAPES.map((s) => at('few', s, '000.png')),
    );
    const { preprocessing, predictions } = JSON.parse(out);
    expect(preprocessing).toMatchObject({ size: 32, cropRatio: 0.875, interpolation: 'bicubic' });
    expect(predictions.slice(1).map((p: { top: { label: string }[] }) => p.top[0].label)).toEqual([...SHAPES]);

    for (const form of ['deploy', 'training']) {
      const evaluated = await run('eval', at('few'), '--weights', weights, '--form', form, '--json', '--threads', '1');
      const result = JSON.parse(evaluated.out);
      expect(result).toMatchObject({ form, pictures: 18, of: 'all', top5: 1, unreadable: [] });
      expect(result.top1).toBeGreaterThan(0.8);
      expect(result.perClass.map((row: { label: string }) => row.label).sort()).toEqual([...SHAPES]);
    }

    // Only two of the classes, in folders of the same names: matched by name.
    await cp(at('few', 'triangle'), at('two', 'triangle'), { recursive: true });
    await cp(at('few', 'circle'), at('two', 'circle'), { recursive: true });
    const two = JSON.parse((await run('eval', at('two'), '--weights', weights, '--json', '--threads', '1')).out);
    expect(two).toMatchObject({ pictures: 12 });
    expect(two.top1).toBeGreaterThan(0.8);

    // What is trained on top of it begins where it ended, with other classes.
    await cp(at('few', 'square'), at('other', 'quadrangle'), { recursive: true });
    await cp(at('few', 'circle'), at('other', 'disc'), { recursive: true });
    const tuned = await run(
      ...['finetune', at('other'), '--weights', weights, '-o', at('tuned'), '--epochs', '4', '--head-epochs', '2'],
      ...['--batch', '5', '--threads', '1', '--workers', '0', '--json'],
    );
    expect(tuned).toMatchObject({ code: 0, err: '' });
    const { best, metrics, finished } = JSON.parse(tuned.out);
    expect(finished).toBe(true);
    expect(best.top1).toBe(1);
    // Only the whole network has an average.
    expect(metrics.map((row: object) => 'emaTop1' in row)).toEqual([false, false, true, true]);
    const info = JSON.parse((await run('info', '--json', at('tuned', 'model.safetensors'))).out);
    expect(info.model).toMatchObject({ name: 'repghostnet_050', width: 0.25, stemStride: 1, classes: 2 });

    // Without any named, on those that come with it.
    const few = ['--set', 'perClass=2', '--epochs', '3', '--head-epochs', '1', '--batch', '4', '--workers', '0'];
    const shipped = await run('finetune', at('other'), '-o', at('on-shipped'), ...few, '--threads', '1', '--json');
    expect(shipped).toMatchObject({ code: 0, err: '' });
    const made = JSON.parse((await run('info', '--json', at('on-shipped', 'model.safetensors'))).out);
    expect(made.model).toMatchObject({ name: 'repghostnet_050', stemStride: 1, classes: 2 });
    expect(made.model.width ?? null).toBeNull();

    expect(await failure(1, 'predict', '--weights', join(output, 'last.safetensors'), at('few'))).toBe(
      `${join(output, 'last.safetensors')}: this is a training to go on from; the network is in best.safetensors beside it`,
    );
    expect(await failure(1, 'train', at('shapes'), '-o', output)).toContain('has a training in it; resume that');
    const again = (...args: string[]) => failure(1, 'train', at('shapes'), '-o', output, '--resume', ...args);
    expect(await again('--model', 'ghostnet_050')).toContain(
      'last.safetensors: this is a checkpoint of repghostnet_050, not of ghostnet_050',
    );
    expect(await again('--lr', '0.2')).toContain('it was begun with optimizer.lr 0.1, not 0.2');
    expect(await failure(1, 'train', at('few'), '-o', output, '--resume')).toContain(
      'it was begun with 108 pictures to train on, now there are 15',
    );
    // All done: there is nothing left to do, and nothing is done.
    expect(await failure(1, 'train', '-o', output, '--resume', '--recipe', 'cifar')).toBe(
      'there is no recipe cifar; did you mean cifar10?',
    );
    expect(await again('--recipe', 'cifar10')).toContain('it was begun with recipe null, not "cifar10"');
    await cp(at('shapes'), at('renamed'), { recursive: true });
    await rename(at('renamed', 'circle', '000.png'), at('renamed', 'circle', '900.png'));
    expect(await failure(1, 'train', at('renamed'), '-o', output, '--resume')).toContain(
      'it was begun with pictures of other names',
    );
    await cp(output, at('without-best'), { recursive: true });
    await rm(at('without-best', 'best.safetensors'));
    expect(await failure(1, 'train', '-o', at('without-best'), '--resume')).toContain(
      "best.safetensors: it is not there, and the training's best network was in it",
    );
    await writeFile(at('resume.json'), JSON.stringify({ output, resume: true }));
    expect(await run('train', '--config', at('resume.json'))).toMatchObject({ code: 0, err: '' });
    expect(await run('train', '-o', output, '--resume')).toMatchObject({ code: 0, err: '' });
  });
});

describe('bad input', () => {
  const few = (...args: string[]) => ['train', at('few'), '-o', at('bad'), ...TINY, '--batch', '4', ...args];

  it('is told in one line', async () => {
    expect(await failure(1, ...few('--set', 'optimizer.momentun=1'))).toBe(
      'optimizer.momentun: there is no such setting; did you mean momentum?',
    );
    expect(await failure(1, ...few('--set', 'augmentatoin=1'))).toContain('did you mean augmentation?');
    expect(await failure(1, ...few('--recipe', 'cifar-10'))).toContain('did you mean cifar10?');
    expect(await failure(1, ...few('--model', 'repgostnet_050'))).toContain('did you mean repghostnet_050?');
    expect(await failure(2, ...few('--epochs', '0'))).toContain('It must be a positive integer.');
    expect(await failure(1, ...few('--batch', '64'))).toContain('the batch size is 64, but there are only 15 pictures');
    expect(await failure(1, 'train', at('none'), '-o', at('bad'))).toContain('there is no such folder or file');
    expect(await failure(2, 'train', '-o', at('bad'))).toContain('name the folder or tar file with the pictures');
    expect(await failure(2, 'finetune', '-o', at('bad'))).toContain('name the folder or tar file with the pictures');
    expect(await failure(1, 'eval', at('few'), '--weights', at('none'))).toContain('there is no such file');
    await writeFile(at('bad.json'), '{"epochs": 3,}');
    expect(await failure(1, ...few('--config', at('bad.json')))).toContain(
      `${at('bad.json')}: the configuration is no JSON`,
    );
  });

  it('an empty class, or one only', async () => {
    await cp(at('few'), at('empty'), { recursive: true });
    await mkdir(at('empty', 'hexagon'));
    expect(await failure(1, 'train', at('empty'), '-o', at('bad'))).toBe(`${at('empty')}: no picture of hexagon`);
    await cp(at('few', 'circle'), at('one', 'circle'), { recursive: true });
    expect(await failure(1, 'train', at('one'), '-o', at('bad'))).toContain('one class only (circle)');
  });

  it('unreadable pictures are skipped, counted and named', async () => {
    await cp(at('few'), at('damaged'), { recursive: true });
    await writeFile(at('damaged', 'circle', 'zzz.png'), 'no picture');
    const whole = await readFile(at('few', 'square', '000.png'));
    await writeFile(at('damaged', 'square', 'zzz.png'), whole.subarray(0, whole.length >> 1));
    const args = ['train', at('damaged'), '-o', at('skipping'), ...TINY, '--batch', '4', '--epochs', '2'];
    const { code, out, err } = await run(...args, '--set', 'schedule.warmupEpochs=0');
    expect(code).toBe(0);
    expect(err).toMatch(
      /^warning: 2 pictures cannot be read and are left out: .*circle\/zzz\.png \(.*square\/zzz\.png \(.*\n$/,
    );
    expect(out).toContain('epoch 2/2');
    expect(await readFile(at('skipping', 'report.html'), 'utf8')).toContain('Unreadable pictures: 2');
  });

  it.skipIf(process.platform === 'win32')('links out of the data are told of', async () => {
    await cp(at('few'), at('linked'), { recursive: true });
    await symlink(at('few', 'circle'), at('linked', 'hexagon'));
    await symlink(at('few', 'square', '000.png'), at('linked', 'circle', 'zzz.png'));
    const note = 'warning: 2 links lead out of the data and are not followed: circle/zzz.png, hexagon\n';
    const args = ['train', at('linked'), '-o', at('linking'), ...TINY, '--batch', '4', '--epochs', '1'];
    expect(await run(...args)).toMatchObject({ code: 0, err: note });
    const weights = at('linking', 'model.safetensors');
    expect(await run('eval', at('linked'), '--weights', weights, '--threads', '1')).toMatchObject({
      code: 0,
      err: note,
    });
  });

  // A folder that not even an administrator can write to.
  it.skipIf(process.platform !== 'linux')(
    'a folder that takes no files is told of before anything is trained',
    async () => {
      const { code, out, err } = await run('train', at('few'), '-o', '/proc/self', ...TINY, '--batch', '4');
      expect(code).toBe(1);
      expect(err).toMatch(/^error: cannot write \/proc\/self\/[^\n]*\n$/);
      expect(out).not.toContain('epoch');
    },
  );

  it.each(['best.safetensors', 'model.safetensors', 'metrics.jsonl', 'report.html'])(
    'a folder with the %s of another training, which stays as it is',
    async (name) => {
      const [output, kept] = [at(`kept ${name}`), at(`kept ${name}`, name)];
      await mkdir(output);
      await cp(at('three.safetensors'), kept);
      const before = await readFile(kept);
      const expected = `${output}: a new training would overwrite the ${name} there; name another folder, or move it away`;
      expect(await failure(1, 'train', at('few'), '-o', output, ...TINY, '--batch', '4')).toBe(expected);
      const tuned = await failure(1, 'finetune', at('few'), '--weights', kept, '-o', output);
      expect(tuned).toBe(expected);
      expect(await failure(1, 'train', at('few'), '-o', output, ...TINY, '--batch', '4', '--resume')).toBe(expected);
      expect(await readdir(output)).toEqual([name]);
      expect(await readFile(kept)).toEqual(before);
    },
  );

  it('sizes that no memory has room for, and what is no number', async () => {
    for (const setting of ['inputSize', 'evalSize']) {
      expect(await failure(1, ...few('--set', `${setting}=4097`))).toBe(`${setting}: expected at most 4096, got 4097`);
    }
    const progressive = 'progressive=[{"until":2,"inputSize":100000}]';
    expect(await failure(1, ...few('--set', progressive))).toContain('progressive.0.inputSize: expected at most 4096');
    for (const rate of ['0x10', '1e999', '', ' 1', '1_0', 'Infinity', '0b1']) {
      expect(await failure(2, ...few('--lr', rate))).toContain('It must be a number, as 0.05 or 1e-3.');
    }
    expect(existsSync(at('bad'))).toBe(false);
  });

  it('a learning rate that explodes stops with what to try, and keeps what was saved', async () => {
    const settings = ['--epochs', '3', '--lr', '1e12', '--set', 'schedule.warmupEpochs=0'];
    const args = ['train', at('few'), '-o', at('explodes'), ...TINY, '--batch', '4', ...settings];
    const message = await failure1(...args);
    expect(message).toMatch(
      /^the training has diverged: .* \(epoch 1, step \d, learning rate 1\.00e\+12\); try a lower optimizer\.lr/,
    );
    expect(existsSync(at('explodes', 'best.safetensors'))).toBe(false);
  });

  it('says so when there is nothing to resume', async () => {
    const args = ['train', at('few'), '-o', at('anew'), ...TINY, '--batch', '4', '--epochs', '1', '--resume'];
    const { code, err } = await run(...args);
    expect({ code, err }).toEqual({
      code: 0,
      err: `${at('anew')}: there is no checkpoint yet; the training begins anew\n`,
    });
  });

  it('says so when there is neither a checkpoint nor pictures to begin with', async () => {
    expect(await failure(2, 'train', '-o', at('nowhere'), '--resume')).toContain(
      'nowhere: there is no checkpoint to go on from; to begin, name the folder or tar file with the pictures',
    );
    expect(existsSync(at('nowhere'))).toBe(false);
  });

  it('a checkpoint that is none', async () => {
    await mkdir(at('alien'));
    await writeFile(at('alien', 'last.safetensors'), 'something');
    expect(await failure(1, 'train', at('few'), '-o', at('alien'), '--resume')).toContain(
      'last.safetensors: not a valid safetensors file',
    );
  });
});

/** The message of a training that fails after it has begun, and so has written where it is. */
async function failure1(...args: string[]): Promise<string> {
  const { code, err } = await run(...args);
  expect(code).toBe(1);
  expect(err).toMatch(/^error: [^\n]*\n$/);
  return err.slice('error: '.length).trimEnd();
}

describe('settings that would train nothing', () => {
  it('are refused', async () => {
    const asked = (...more: string[]) =>
      failure(1, 'train', at('few'), '-o', at('nothing'), ...TINY, '--batch', '4', '--epochs', '3', ...more);
    expect(await asked('--set', 'accumulate=32')).toMatch(
      /^accumulate: the \d+ steps are too few for one update of 32$/,
    );
    expect(await asked('--set', 'progressive=[{"until":3,"inputSize":16}]')).toBe(
      'progressive: smaller pictures until epoch 3 of 3 leave none for inputSize',
    );
  });
});

describe('finetune', () => {
  it('trains the network that its weights are of, on pictures as that has them', async () => {
    const model = assignNamedWeights(createModel('mobilenetv3_small_100', { classes: 3, epsilon: 1e-5 }));
    const weights = at('timm.safetensors');
    const options = {
      [METADATA.model]: 'mobilenetv3_small_100',
      [METADATA.options]: JSON.stringify({ epsilon: 1e-5 }),
    };
    await writeFile(weights, writeSafetensors(model.state(), { metadata: options }));
    const args = ['--weights', weights, '-o', at('timm'), '--epochs', '1', '--head-epochs', '0', '--batch', '9'];
    const small = ['--size', '32', '--threads', '1', '--workers', '0'];
    expect(await run('finetune', at('few'), ...args, ...small)).toMatchObject({ code: 0, err: '' });
    const info = JSON.parse((await run('info', '--json', at('timm', 'model.safetensors'))).out);
    expect(info.model).toMatchObject({ name: 'mobilenetv3_small_100', epsilon: 1e-5, classes: 3 });
    const loaded = await readTrainable(weights);
    // As the weights of a paper are evaluated, where their file does not say.
    expect(settingsOf(loaded, preprocessingFor(loaded, {}))).toMatchObject({
      inputSize: 224,
      variant: { epsilon: 1e-5 },
    });
    const other = createTrainedModel(resolveConfig([{ model: 'mobilenetv3_small_100' }]), ['a', 'b', 'c']);
    expect(() => transferWeights(other, loaded)).toThrow('variant: these weights need {"epsilon":0.00001}, got {}');
  });

  it('takes its weights and epochs of the head from its options, over a file of settings, under --set', async () => {
    const weights = await writeCheckpoint(at('tune.safetensors'), 'repghostnet_100', { classes: 3 });
    const config = at('finetune.json');
    await writeFile(config, JSON.stringify({ finetune: { headEpochs: 2, weights: at('none') }, epochs: 4 }));
    const common = ['finetune', at('few'), '--weights', weights, '--head-epochs', '1', '--config', config];
    const tiny = ['--size', '32', '--epochs', '3', '--batch', '9', '--threads', '1', '--workers', '0'];
    for (const [more, headEpochs] of [
      [[], 1],
      [['--set', 'finetune.headEpochs=0'], 0],
    ] as const) {
      const output = at(`tuned ${headEpochs}`);
      expect(await run(...common, ...tiny, ...more, '-o', output)).toMatchObject({ code: 0, err: '' });
      const checkpoint = await readTrainingCheckpoint(join(output, 'last.safetensors'));
      expect(checkpoint?.progress.config.finetune).toMatchObject({ weights, headEpochs });
    }
  });
});

describe('a process of its own', () => {
  const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

  it.each([
    [
      'train',
      () => [at('few'), '-o', at('refused'), ...TINY, '--workers', '1', '--batch', '4', '--set', 'accumulate=999'],
      /^error: accumulate: the \d+ steps are too few for one update of 999\n$/,
    ],
    [
      'eval',
      () => [at('few'), '--weights', at('three.safetensors'), '--threads', '65'],
      /^error: threads: a number from 1 to 64, got 65\n$/,
    ],
  ])('of %s ends when it is refused, though threads decode', async (name, rest, message) => {
    // How the test loads TypeScript is deprecated in newer versions of Node, which say so.
    const load = ['--no-deprecation', '--import', path('../support/typescript-process.mjs')];
    const child = spawn(process.execPath, [...load, path('../../src/cli/main.ts'), name, ...rest()], {
      timeout: 15_000,
    });
    let err = '';
    child.stderr.on('data', (text) => {
      err += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(err).toMatch(message);
    expect(code).toBe(1);
  });
});

describe('a training that nobody watches', () => {
  const command = [
    ...['--no-deprecation', '--import', fileURLToPath(new URL('../support/typescript-process.mjs', import.meta.url))],
    fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url)),
  ];

  it.each(['stdout', 'stderr'] as const)('goes on to its end without its %s', async (closed) => {
    const output = at(`without ${closed}`);
    await cp(at('few'), at(`seen ${closed}`), { recursive: true });
    // Of which it warns.
    await writeFile(at(`seen ${closed}`, 'circle', 'zzz.png'), 'no picture');
    const args = ['train', at(`seen ${closed}`), '-o', output, ...TINY, '--batch', '4', '--epochs', '2'];
    const child = spawn(process.execPath, [...command, ...args]);
    child[closed].destroy();
    let said = '';
    child[closed === 'stdout' ? 'stderr' : 'stdout'].on('data', (text) => {
      said += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(said).toMatch(
      closed === 'stdout' ? /^warning: .*; the training goes on, see .*metrics\.jsonl\n/ : /^best: /m,
    );
    expect(code).toBe(0);
    expect(await trained(output)).toHaveLength(2);
    expect(existsSync(join(output, 'model.safetensors'))).toBe(true);
  });
});

describe('Ctrl-C', () => {
  const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

  it.skipIf(process.platform === 'win32')(
    'a second time ends what does not return to the event loop',
    async () => {
      const script = `
      const { interruptible } = await import(${JSON.stringify(new URL('../../src/cli/interrupt.ts', import.meta.url).href)});
      await interruptible(async (signal) => {
        const timer = setInterval(() => {}, 1000);
        console.log('begun');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        // The same key, as npm hands it on.
        process.kill(process.pid, 'SIGINT');
        await new Promise((resolve) => setTimeout(resolve, 600));
        console.log('saving');
        for (const end = Date.now() + 60_000; Date.now() < end; );
        clearInterval(timer);
      });`;
      const hooks = ['--no-deprecation', '--import', path('../support/typescript-process.mjs')];
      const child = spawn(process.execPath, [...hooks, '--input-type=module', '-e', script]);
      child.stdout.on('data', () => child.kill('SIGINT'));
      const ended = await new Promise((resolve) => child.on('close', (...how) => resolve(how)));
      expect(ended).toEqual([null, 'SIGINT']);
    },
    30_000,
  );

  // Signals of another system would end the process before it can do anything.
  it.skipIf(process.platform === 'win32').each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('saves, says how to go on, and exits with its code: %s', async (signal, expected) => {
    const command = ['--import', path('../support/typescript-process.mjs'), path('../../src/cli/main.ts')];
    const output = at(`stopped by ${signal}`);
    const args = ['train', at('few'), '-o', output, ...TINY, '--batch', '4', '--epochs', '500'];
    const child = spawn(process.execPath, [...command, ...args]);
    let out = '';
    let interrupted = false;
    child.stdout.on('data', (text) => {
      out += text;
      // Once: another one, at the line that says it stopped, may come when nobody listens for it any more.
      if (interrupted || !/epoch +1\//.test(out)) return;
      interrupted = true;
      child.kill(signal);
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(expected);
    expect(out).toMatch(/stopped in epoch \d+ of 500; --resume -o .*stopped by \w+ goes on from here\n$/);
    expect(existsSync(join(output, 'last.safetensors'))).toBe(true);
  });
});
