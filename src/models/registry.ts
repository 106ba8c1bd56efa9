import { closest, distance } from 'fastest-levenshtein';
import type { Classifier } from '../nn/trace.js';
import { GhostkitError } from '../tensor/error.js';
import type { Tensor } from '../tensor/tensor.js';
import { ghostResnet50, ghostResnet56, ghostVgg16 } from './ghostified.js';
import { ghostnet } from './ghostnet.js';
import { type MobileNetV3Options, mobilenetV3Large, mobilenetV3Small } from './mobilenetv3.js';
import { withDefaults } from './options.js';
import { type RepGhostNetOptions, repghostnet } from './repghostnet.js';
import { resnet18, resnet34, resnet50, resnet56, resnet101 } from './resnet.js';
import { ghostKeys, mobilenetV3Keys } from './state-keys.js';
import { vgg16 } from './vgg.js';

/** The options of every registered model; each takes from them what it has. */
export type ModelOptions = RepGhostNetOptions & MobileNetV3Options;

/** What a paper or its authors' repository reports for ImageNet at 224x224. */
export interface PaperResult {
  /** Accuracy of the best guess, in percent. */
  readonly top1: number;
  /** Share of images whose class is among the five best guesses, in percent. */
  readonly top5?: number;
  readonly params?: number;
  /** Multiply-accumulates for one image. */
  readonly macs?: number;
  readonly source: string;
}

/** `imported`: a network from a file that describes it, which is in no list. */
export type ModelFamily = 'ghostnet' | 'repghostnet' | 'mobilenetv3' | 'resnet' | 'vgg' | 'imported';

export interface ModelEntry {
  /** timm's name. */
  readonly name: string;
  readonly family: ModelFamily;
  readonly width: number;
  /** Other names that {@link createModel} takes, the papers' among them. */
  readonly aliases: readonly string[];
  readonly paper?: PaperResult;
  /** A new network of this entry; options override what its name stands for, the width included. */
  create(options?: ModelOptions): Classifier;
}

const GHOSTNET = 'Han et al., GhostNet, CVPR 2020 (arXiv:1911.11907), table 7';
const REPGHOST = 'Chen et al., RepGhost (arXiv:2211.06088), and the results in its repository';
const MOBILENETV3 = 'Howard et al., Searching for MobileNetV3, ICCV 2019 (arXiv:1905.02244), table 3';

/** 1.11 as the papers' code writes it: `1_11`, and at least one digit behind the point. */
const underscored = (width: number) => (Number.isInteger(width) ? width.toFixed(1) : String(width)).replace('.', '_');
const hundredths = (width: number) => String(Math.round(width * 100)).padStart(3, '0');

type Row = readonly [width: number, millionParams: number, millionMacs: number, top1: number, top5: number];

const GHOSTNET_ROWS: readonly Row[] = [
  [0.5, 2.6, 42, 66.2, 86.6],
  [1.0, 5.2, 141, 73.9, 91.4],
  [1.3, 7.3, 226, 75.7, 92.7],
];

const REPGHOST_ROWS: readonly Row[] = [
  [0.5, 2.3, 43, 66.9, 86.9],
  [0.58, 2.5, 60, 68.9, 88.4],
  [0.8, 3.3, 96, 72.2, 90.5],
  [1.0, 4.1, 142, 74.2, 91.5],
  [1.11, 4.5, 170, 75.1, 92.2],
  [1.3, 5.5, 231, 76.4, 92.9],
  [1.5, 6.6, 301, 77.5, 93.5],
  [2.0, 9.8, 516, 78.8, 94.3],
];

type Factory = (options: ModelOptions) => Classifier;

const preset =
  (factory: Factory, fixed: ModelOptions): ModelEntry['create'] =>
  (options = {}) =>
    factory(withDefaults(fixed, options));

function scaled(family: ModelFamily, factory: Factory, rows: readonly Row[], source: string): ModelEntry[] {
  return rows.map(([width, params, macs, top1, top5]) => ({
    name: `${family}_${hundredths(width)}`,
    family,
    width,
    aliases: [`${family}_${underscored(width)}x`, `${family}_${underscored(width)}`],
    paper: { top1, top5, params: params * 1e6, macs: macs * 1e6, source },
    create: preset(factory, { width }),
  }));
}

/** The RepGhost paper's ablations at width 0.5, under the names in its code. */
function ablation(tag: string, options: RepGhostNetOptions): ModelEntry {
  const width = 0.5;
  return {
    name: `repghostnet_${tag}_050`,
    family: 'repghostnet',
    width,
    aliases: [`repghostnet_${tag}_0_5x`],
    create: preset(repghostnet, { width, ...options }),
  };
}

function mobilenet(size: 'large' | 'small', factory: Factory, paper: Omit<PaperResult, 'source'>): ModelEntry {
  return {
    name: `mobilenetv3_${size}_100`,
    family: 'mobilenetv3',
    width: 1,
    aliases: [`mobilenet_v3_${size}`, `mobilenetv3_${size}`, `mobilenetv3_${size}_1_0x`],
    paper: { ...paper, source: MOBILENETV3 },
    create: preset(factory, {}),
  };
}

const ENTRIES: readonly ModelEntry[] = [
  ...scaled('ghostnet', ghostnet, GHOSTNET_ROWS, GHOSTNET),
  ...scaled('repghostnet', repghostnet, REPGHOST_ROWS, REPGHOST),
  ablation('repid', { reparam: 'identity' }),
  ablation('norep', { reparam: 'none' }),
  ablation('wo', { shortcut: false }),
  mobilenet('large', mobilenetV3Large, { top1: 75.2, params: 5.4e6, macs: 219e6 }),
  mobilenet('small', mobilenetV3Small, { top1: 67.4, params: 2.5e6, macs: 56e6 }),
];

/** A network that the GhostNet paper compresses, or what it becomes; without a table of results of its own. */
function compressed(name: string, family: ModelFamily, factory: Factory, aliases: readonly string[] = []): ModelEntry {
  return { name, family, width: 1, aliases, create: preset(factory, {}) };
}

/** Known by name, but no part of the Ghost family's table. */
const OTHERS: readonly ModelEntry[] = [
  compressed('resnet18', 'resnet', resnet18),
  compressed('resnet34', 'resnet', resnet34),
  compressed('resnet50', 'resnet', resnet50),
  compressed('resnet101', 'resnet', resnet101),
  compressed('resnet56', 'resnet', resnet56, ['resnet56_cifar']),
  compressed('vgg16_cifar', 'vgg', vgg16),
  compressed('ghost_resnet50', 'resnet', ghostResnet50, ['ghost_resnet50_s2']),
  compressed('ghost_resnet50_s4', 'resnet', (options) => ghostResnet50(options, 4)),
  compressed('ghost_resnet56', 'resnet', ghostResnet56, ['ghost_resnet56_cifar']),
  compressed('ghost_vgg16', 'vgg', ghostVgg16, ['ghost_vgg16_cifar']),
];

const REMAP: Readonly<Record<ModelFamily, (state: ReadonlyMap<string, Tensor>) => Map<string, Tensor>>> = {
  ghostnet: ghostKeys,
  repghostnet: ghostKeys,
  mobilenetv3: mobilenetV3Keys,
  resnet: ghostKeys,
  vgg: ghostKeys,
  imported: (state) => new Map(state),
};

/** Case, `-` and `.` do not matter in a name, nor does the tag of a training set behind timm's names (`.in1k`). */
const normalized = (name: string) =>
  name
    .trim()
    .toLowerCase()
    .replace(/\.in\d+k$/, '')
    .replace(/[-.]/g, '_');

const BY_NAME = new Map(
  [...ENTRIES, ...OTHERS].flatMap((entry) => [entry.name, ...entry.aliases].map((name) => [name, entry] as const)),
);

/**
 * Every network of the Ghost family and its baseline, families together and widths ascending. With `all`, also the networks that the
 * GhostNet paper turns into Ghost networks, and those.
 */
export function listModels({ all = false } = {}): readonly ModelEntry[] {
  return all ? [...ENTRIES, ...OTHERS] : ENTRIES;
}

/** The entry of a name or alias. Throws a {@link GhostkitError} that names the nearest one. */
export function findModel(name: string): ModelEntry {
  const key = normalized(name);
  const entry = BY_NAME.get(key);
  if (entry) return entry;
  const nearest = closest(key, [...BY_NAME.keys()]);
  const hint = distance(key, nearest) <= nearest.length / 2 ? `did you mean ${nearest}?` : 'see listModels()';
  throw new GhostkitError(`unknown model ${name}; ${hint}`);
}

/**
 * A new network by its name (`repghostnet_080`) or an alias (`repghostnet_0_8x`, `ghostnet-1.0`), freshly initialised. Options
 * override what the name stands for, the width included. Throws a {@link GhostkitError} for an unknown name.
 */
export function createModel(name: string, options?: ModelOptions): Classifier {
  return findModel(name).create(options);
}

/** A state dict of a model of this name, wherever it was saved (the originals, timm, torchvision), under ghostkit's keys. */
export function remapKeys(name: string, state: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return REMAP[findModel(name).family](state);
}
