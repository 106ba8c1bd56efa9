import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { create } from 'tar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dataset, MemoryDataset, perClass, split, subset } from '../../src/data/dataset.js';
import { openDataset } from '../../src/data/open-dataset.js';
import { RecordDataset } from '../../src/data/record-dataset.js';
import { encoder, pattern, plain } from '../support/pictures.js';
import { makeLinkedFolders, makePipe, makeSparse, noPipes } from '../support/special-files.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ghostkit-data-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Writes files below a new folder; a picture has its path's length as its width. */
async function tree(name: string, paths: readonly string[], texts: Record<string, string> = {}): Promise<string> {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  for (const path of paths) {
    const file = join(folder, path);
    if (path.endsWith('/')) await mkdir(file, { recursive: true });
    else {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, await encoder(pattern(path.length, 8)).png().toBuffer());
    }
  }
  for (const [path, text] of Object.entries(texts)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

const namesOf = (set: Dataset) =>
  Array.from({ length: set.length }, (_, i) => `${set.classes[set.label(i)]}: ${set.name(i)}`);

/** Every picture can be read and is the one that its name says. */
async function expectReadable(set: Dataset): Promise<void> {
  for (let i = 0; i < set.length; i++) {
    const length = set.name(i).length;
    expect((await set.pixels(i)).width % 100, set.name(i)).toBeGreaterThanOrEqual(length);
  }
}

const LAYOUT = ['train/dog/b.png', 'train/dog/a.PNG', 'train/cat/x/deep.png', 'train/cat/1.png', 'val/cat/v.png'];

describe('image folders', () => {
  it('are classes in the order of their names, pictures in the order of theirs', async () => {
    const folder = await tree('plain', ['b/2.png', 'b/10.png', 'B/1.png', 'a/1.png', 'a/.hidden.png'], {
      'a/note.txt': '',
    });
    const { train, val } = await openDataset(folder);
    expect(train.classes).toEqual(['B', 'a', 'b']);
    expect(namesOf(train)).toEqual(['B: B/1.png', 'a: a/1.png', 'b: b/10.png', 'b: b/2.png']);
    expect(val).toBeUndefined();
    await expectReadable(train);
  });

  it('may be divided by their makers, with a wrapper around', async () => {
    for (const top of ['', 'birds/']) {
      const folder = await tree(
        `split${top.length}`,
        LAYOUT.map((path) => top + path),
      );
      const { train, val } = await openDataset(folder);
      expect(train.classes).toEqual(['cat', 'dog']);
      expect(namesOf(train)).toEqual(['cat: cat/1.png', 'cat: cat/x/deep.png', 'dog: dog/a.PNG', 'dog: dog/b.png']);
      expect(val && namesOf(val)).toEqual(['cat: cat/v.png']);
    }
  });

  it('do without test pictures that have no labels', async () => {
    const folder = await tree('unlabelled', ['train/a/1.png', 'train/b/1.png', 'test/images/1.png']);
    expect((await openDataset(folder)).val).toBeUndefined();
  });

  it('follow links only within the folder', async () => {
    const outside = await tree('outside', ['c/1.png']);
    const folder = await tree('links', ['a/1.png', 'b/1.png']);
    await symlink(join(folder, 'a/1.png'), join(folder, 'b/2.png'));
    await symlink(join(outside, 'c/1.png'), join(folder, 'b/3.png'));
    await symlink(join(root, 'nowhere'), join(folder, 'b/4.png'));
    await symlink('..', join(folder, 'b/round'));
    expect(namesOf((await openDataset(folder)).train)).toEqual(['a: a/1.png', 'b: b/1.png', 'b: b/2.png']);
    await symlink(join(outside, 'c'), join(folder, 'c'));
    await mkdir(join(folder, 'd'));
    await symlink(outside, join(folder, 'd/out'));
    await expect(openDataset(folder)).rejects.toThrow(
      `${folder}: no picture of d (4 links out of the folder not followed)`,
    );
  });

  it('may be linked to under another name, but not in very many ways', async () => {
    const folder = await tree('twice', ['train/a/1.png', 'train/b/1.png']);
    await symlink('train', join(folder, 'val'));
    const { val } = await openDataset(folder);
    expect(val && namesOf(val)).toEqual(['a: a/1.png', 'b: b/1.png']);
    const many = await tree('many-ways', ['a/1.png', 'b/1.png']);
    makeLinkedFolders(many, 20);
    await expect(openDataset(many)).rejects.toThrow(
      /many-ways: links lead to one folder in more than 16 ways, at last as d0\/[ab/]+$/,
    );
  });

  it('are not of any depth', async () => {
    const deep = (folders: number) => `${Array.from({ length: folders }, (_, i) => `f${i}`).join('/')}/`;
    const folder = await tree('deep', [`${deep(62)}a/1.png`, `${deep(62)}b/1.png`]);
    expect((await openDataset(folder)).train.classes).toEqual(['a', 'b']);
    const deeper = await tree('deeper', [`${deep(64)}a/1.png`, `${deep(64)}b/1.png`]);
    await expect(openDataset(deeper)).rejects.toThrow(/deeper: there are more than 64 folders in f0\/f1\//);
  });

  // Elsewhere than on Linux the system itself refuses such names.
  it.runIf(process.platform === 'linux')('say which name is not UTF-8', async () => {
    const folder = await tree('latin', ['a/1.png', 'b/1.png']);
    const name = (path: string) => Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
    await writeFile(name('b/\xfc.txt'), '');
    await writeFile(name('b/\xff\xfd.txt'), '');
    expect((await openDataset(folder)).train.length).toBe(2);
    await writeFile(name('b/\xfc.png'), '');
    await expect(openDataset(folder)).rejects.toThrow(`${folder}: the name b/\\xfc.png is not UTF-8; rename it`);
    await rm(name('b/\xfc.png'));
    await writeFile(join(folder, 'b/\ufffd.png'), '');
    expect((await openDataset(folder)).train.length).toBe(3);
    await mkdir(name('V\xf6gel'));
    await expect(openDataset(folder)).rejects.toThrow(`${folder}: the name V\\xf6gel is not UTF-8; rename it`);
  });

  it.skipIf(noPipes)('are not waited for in a pipe', async () => {
    const path = makePipe(join(root, 'pipe'));
    await expect(openDataset(path)).rejects.toThrow(`${path}: it is a pipe, not a regular file`);
  });

  it.each([
    ['an empty class', ['a/1.png', 'b/'], 'no picture of b'],
    ['several empty classes', ['a/1.png', 'b/', 'c/', 'd/', 'e/'], 'no picture of b, c, d and 1 more'],
    ['one class', ['a/1.png', 'a/2.png'], 'one class only (a); there is nothing to tell apart'],
    ['loose pictures', ['1.png'], 'pictures, but no folders of classes around them; a folder for each class is needed'],
    ['nothing', [], 'no pictures; a folder for each class is needed'],
    [
      'an unknown class',
      ['train/a/1.png', 'train/b/1.png', 'val/c/1.png'],
      '/val: no such class among the training pictures: c',
    ],
  ])('say what is wrong with %s', async (name, paths, message) => {
    const folder = await tree(`wrong-${name}`, paths);
    await expect(openDataset(folder)).rejects.toThrow(message);
  });

  it('say when there is none', async () => {
    await expect(openDataset(join(root, 'none'))).rejects.toThrow('none: there is no such folder or file');
  });
});

describe('what is around a data set', () => {
  it('may be called in capital letters, and have an archive beside it', async () => {
    const paths = ['set/Train/cat/a.png', 'set/Train/dog/b.png', 'set/TEST/cat/c.png', 'set/TEST/dog/d.png'];
    const { train, val } = await openDataset(await tree('capitals', paths, { 'set.tar.gz': 'x', 'README.md': 'x' }));
    expect(train.classes).toEqual(['cat', 'dog']);
    expect([train.length, val?.length]).toEqual([2, 2]);
  });
});

describe('tar files', () => {
  const long = `train/dog/${'long-'.repeat(40)}name.png`;

  it('are read where they stand, like the folder', async () => {
    const folder = await tree('tarred', [...LAYOUT, long, `train/cat/${'ü'.repeat(60)}.png`]);
    const fromFolder = await openDataset(folder);
    for (const portable of [true, false]) {
      const file = join(root, `tarred-${portable}.tar`);
      await create({ cwd: folder, file, portable }, portable ? ['.'] : ['train', 'val']);
      const { train, val } = await openDataset(file);
      expect(train.classes).toEqual(fromFolder.train.classes);
      expect(namesOf(train)).toEqual(namesOf(fromFolder.train));
      expect(val && namesOf(val)).toEqual(['cat: cat/v.png']);
      for (let i = 0; i < train.length; i++) expect(await train.pixels(i)).toEqual(await fromFolder.train.pixels(i));
      (train as RecordDataset).close();
      expect(await train.pixels(0)).toEqual(await fromFolder.train.pixels(0));
    }
  });

  it('have no path of very many folders in them', async () => {
    const archive = async (name: string, depth: number) => {
      const path = join(root, name);
      const leaves = ['cat/a.png', 'dog/b.png'].map((leaf) => {
        const body = paxRecord('path', 'a/'.repeat(depth) + leaf);
        return Buffer.concat([
          tarHeader('x', body.length, 'x'),
          padded(body),
          tarHeader('f', 3, '0'),
          padded(Buffer.from('abc')),
        ]);
      });
      await writeFile(path, Buffer.concat([...leaves, Buffer.alloc(1024)]));
      return openDataset(path);
    };
    expect((await archive('wrapped.tar', 60)).train.classes).toEqual(['cat', 'dog']);
    await expect(archive('deep.tar', 20_000)).rejects.toThrow(
      /deep\.tar: there are more than 64 folders in a\/a\/[a/]+…$/,
    );
  });

  it('are refused when compressed, cut off, or none', async () => {
    const folder = await tree('whole', ['a/1.png', 'b/1.png']);
    const file = join(root, 'whole.tar');
    await create({ cwd: folder, file }, ['.']);
    const { readFile } = await import('node:fs/promises');
    const bytes = await readFile(file);
    const message = async (name: string, content: Uint8Array) => {
      await writeFile(join(root, name), content);
      return (await openDataset(join(root, name)).catch((error: Error) => error.message)) as string;
    };
    expect(await message('a.tgz', gzipSync(bytes))).toMatch(/a\.tgz: compressed with gzip; unpack it first: gunzip /);
    expect(await message('b.tar', bytes.subarray(0, 1100))).toMatch(/b\.tar: the tar file is cut off/);
    expect(await message('c.tar', Buffer.from('hello '.repeat(200)))).toMatch(/c\.tar: not a tar file/);
    expect(await message('f.tar', Buffer.alloc(1024, 0xc3))).toMatch(/f\.tar: not a tar file/);
    const oversized = Buffer.from(bytes);
    oversized[512 + 124] = 0xc0;
    expect(await message('g.tar', oversized)).toMatch(/g\.tar: the tar file is damaged at byte 512/);
    expect(await message('d.tar', Buffer.alloc(1024))).toMatch(/d\.tar: there is no file in it/);
    const damaged = Buffer.from(bytes);
    damaged.fill(7, 512, 520);
    expect(await message('e.tar', damaged)).toMatch(/e\.tar: the tar file is damaged at byte 512/);
  });
});

/** A header of a tar file. */
function tarHeader(name: string, size: number, type: string): Buffer {
  const header = Buffer.alloc(512);
  for (const [text, at] of [
    [name, 0],
    [`${size.toString(8).padStart(11, '0')}\0`, 124],
    ['        ', 148],
    [type, 156],
    ['ustar\0' + '00', 257],
  ] as const) {
    header.write(text, at);
  }
  const sum = header.reduce((a, b) => a + b, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 511)]);

/** A record of an extended header, which begins with its own length. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length > length) length++;
  return Buffer.from(length + rest);
}

describe('Tiny-ImageNet-200', () => {
  const paths = [
    'train/n02/images/n02_0.png',
    'train/n01/images/n01_0.png',
    'val/images/val_0.png',
    'val/images/val_1.png',
  ];
  const texts = {
    'wnids.txt': 'n02\nn01\n',
    'words.txt': 'n01\tgoldfish, Carassius auratus\nn02\ttench\nn03\tother\n',
    'val/val_annotations.txt': 'val_1.png\tn01\t0\t0\t62\t62\nval_0.png\tn02\t0\t0\t62\t62\n',
    'train/n01/n01_boxes.txt': 'n01_0.png\t0\t0\t1\t1\n',
  };

  it('has names of classes and validation labels', async () => {
    const folder = await tree('tiny', paths, texts);
    const file = join(root, 'tiny.tar');
    await create({ cwd: root, file }, ['tiny']);
    for (const path of [folder, file]) {
      const { train, val } = await openDataset(path);
      expect(train.classes).toEqual(['goldfish, Carassius auratus', 'tench']);
      expect(namesOf(train)).toEqual([
        'goldfish, Carassius auratus: n01/images/n01_0.png',
        'tench: n02/images/n02_0.png',
      ]);
      expect(val && namesOf(val)).toEqual([
        'goldfish, Carassius auratus: val/images/val_1.png',
        'tench: val/images/val_0.png',
      ]);
      expect((await (val as Dataset).pixels(0)).height).toBe(8);
    }
  });

  it('has texts of some megabytes at the most', async () => {
    const folder = await tree('tiny-large', paths, texts);
    makeSparse(join(folder, 'wnids.txt'), 3 * 2 ** 30);
    await expect(openDataset(folder)).rejects.toThrow(
      `${join(folder, 'wnids.txt')}: it is larger than 16 MiB, the limit for texts`,
    );
  });

  it('needs pictures of each class', async () => {
    const folder = await tree('tiny-lacks', paths.slice(1), texts);
    await expect(openDataset(folder)).rejects.toThrow('tiny-lacks: no picture of n02');
  });
});

describe('CIFAR-10', () => {
  /** A batch whose picture `i` has label `i % 10` and planes of `i`, `100` and `200`. */
  const batch = (count: number) =>
    Buffer.concat(
      Array.from({ length: count }, (_, i) =>
        Buffer.concat([Buffer.of(i % 10), ...[i, 100, 200].map((v) => Buffer.alloc(1024, v))]),
      ),
    );

  it('is read from its batches, in a folder and in a tar', async () => {
    const folder = await tree('cifar/cifar-10-batches-bin', []);
    await writeFile(join(folder, 'data_batch_1.bin'), batch(12));
    await writeFile(join(folder, 'data_batch_2.bin'), batch(3));
    await writeFile(join(folder, 'test_batch.bin'), batch(4));
    const file = join(root, 'cifar.tar');
    await create({ cwd: join(root, 'cifar'), file }, ['.']);
    for (const path of [folder, join(root, 'cifar'), file]) {
      const { train, val } = await openDataset(path);
      expect(train.classes[3]).toBe('cat');
      expect([train.length, val?.length]).toEqual([15, 4]);
      expect([train.label(11), train.name(11), train.name(12)]).toEqual([
        1,
        'data_batch_1.bin#11',
        'data_batch_2.bin#0',
      ]);
      expect(await train.pixels(11)).toEqual(plain(32, 32, [11, 100, 200]));
    }
    await writeFile(join(folder, 'data_batch_3.bin'), batch(1).subarray(1));
    await expect(openDataset(folder)).rejects.toThrow(
      "data_batch_3.bin: 3072 bytes are no whole number of CIFAR-10's pictures",
    );
  });
});

describe('what is too large', () => {
  it("is a batch of CIFAR-10's, or a picture in an archive, and is not read", async () => {
    const folder = await tree('cifar-large', []);
    const batch = makeSparse(join(folder, 'data_batch_1.bin'), 3073 * 700_000);
    await expect(openDataset(folder)).rejects.toThrow(`${batch}: it is larger than 2 GiB, the limit for batches`);
    const parts = { file: Int32Array.of(0), offset: Float64Array.of(0), size: Float64Array.of(2 ** 30) };
    const records = { classes: ['a'], labels: Int32Array.of(0), names: ['a.png'], encoding: 'encoded' as const };
    const set = new RecordDataset({ ...records, files: [batch], parts });
    await expect(set.pixels(0)).rejects.toThrow(`${batch}: it is larger than 512 MiB, the limit for pictures`);
  });
});

describe('parts of a set', () => {
  const image = pattern(4, 4);
  const pictures = Array.from({ length: 57 }, (_, i) => ({ image, label: i < 50 ? i % 2 : 2, name: `p${i}` }));
  const set = new MemoryDataset(['a', 'b', 'c', 'd'], pictures);
  const counts = (part: Dataset) => {
    const found = part.classes.map(() => 0);
    for (let i = 0; i < part.length; i++) found[part.label(i)]++;
    return found;
  };

  it('split takes a share of each class, by a seed', () => {
    const [rest, held] = split(set, 0.2, 3);
    expect(counts(rest)).toEqual([20, 20, 6, 0]);
    expect(counts(held)).toEqual([5, 5, 1, 0]);
    expect(new Set([...namesOf(rest), ...namesOf(held)]).size).toBe(57);
    expect(namesOf(split(set, 0.2, 3)[1])).toEqual(namesOf(held));
    expect(namesOf(split(set, 0.2, 4)[1])).not.toEqual(namesOf(held));
    expect(() => split(set, 1)).toThrow('the share must be between 0 and 1, got 1');
  });

  it('keeps the only picture of a class for training', () => {
    const few = new MemoryDataset(
      ['a', 'b'],
      [0, 1, 1].map((label) => ({ image, label })),
    );
    expect(counts(split(few, 0.9)[0])).toEqual([1, 1]);
  });

  it('perClass takes as many of each, or all', () => {
    expect(counts(perClass(set, 10, 1))).toEqual([10, 10, 7, 0]);
    expect(namesOf(perClass(set, 10, 1))).toEqual(namesOf(perClass(set, 10, 1)));
    expect(() => perClass(set, 0)).toThrow('pictures per class: a positive integer, got 0');
  });

  it('read the same pictures, here and in a thread', async () => {
    const folder = await tree('parts', ['a/1.png', 'a/22.png', 'b/333.png']);
    const file = join(root, 'parts.tar');
    await create({ cwd: folder, file }, ['.']);
    for (const path of [folder, file]) {
      const part = subset(subset((await openDataset(path)).train, [2, 0, 1]), [0, 2]);
      expect(namesOf(part)).toEqual(['b: b/333.png', 'a: a/22.png']);
      const again = new RecordDataset(structuredClone(part.records) as NonNullable<typeof part.records>);
      expect(namesOf(again)).toEqual(namesOf(part));
      expect(await again.pixels(1)).toEqual(await part.pixels(1));
      expect(await again.pixels(0)).toMatchObject({ width: 9 });
    }
    expect(() => subset(set, [57])).toThrow('picture 57: the data set has pictures 0 to 56');
  });
});
