import { parameterOp } from '../graph/leaves.js';
import { isOp, outputSet, topological, usersOf, type Value } from '../graph/value.js';
import { BatchNorm2d, Conv2d, Identity } from '../nn/layers.js';
import type { Module, Network, Parameter } from '../nn/module.js';
import { Classifier, trace } from '../nn/trace.js';
import { activationOp, type BatchNormAttrs, batchNormOp, type Conv2dAttrs, conv2dOp } from '../ops/index.js';
import { GhostkitError } from '../tensor/error.js';
import type { Shape } from '../tensor/tensor.js';
import { GhostModule } from './ghost-module.js';
import { needOddKernel, needRatio } from './options.js';
import { type Reparam, RepGhostModule } from './repghost-module.js';

/** A convolution that {@link ghostify} may replace. */
export interface GhostifyLayer {
  /** Its name in the network: `layer1.0.conv2`. */
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernel: number;
  /** The shape of its output for the input that the network was traced with. */
  readonly output: Shape;
}

export interface GhostifyOptions {
  /** What the convolutions are replaced by; default `ghost`. */
  module?: 'ghost' | 'repghost';
  /** The paper's s, of Ghost modules: one of `ratio` feature maps is intrinsic; an integer from 2, default 2. RepGhost modules have none. */
  ratio?: number;
  /** The paper's d: kernel of the cheap operations, odd; default 3. */
  kernel?: number;
  /** The branches of RepGhost modules; default `bn`. */
  reparam?: Reparam;
  /** Convolutions with fewer output channels stay: they are heads or gates, not feature maps; default 8. */
  minOutputs?: number;
  /** Says of every convolution that qualifies whether it is replaced; by default all are. */
  replaces?: (layer: GhostifyLayer) => boolean;
  /**
   * The shape that the network is traced with to see what its convolutions are followed by, `[N,C,H,W]`; for networks that do not take
   * one image of 224x224 with as many channels as their first convolution has.
   */
  input?: Shape;
}

/**
 * Replaces the convolutions of a network by Ghost modules (Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020,
 * arXiv:1911.11907, sections 3.1, 4.1 and 4.2) or RepGhost modules (Chen et al., arXiv:2211.06088, section 3.2), in place, and returns
 * it. The new modules are freshly initialised; everything else keeps its weights and its name.
 *
 * A module takes over its convolution's kernel, stride, padding and dilation for its primary convolution, its name (what was
 * `conv1.weight` is `conv1.primary_conv.0.weight`), and the batch norm and ReLU behind it: the module has its own at both of its
 * convolutions, so the network's batch norm becomes the identity. Its ReLU stays and has nothing left to do.
 *
 * As in the paper, convolutions that read the image stay. So do grouped ones, those whose kernel is not square, those with fewer than
 * `minOutputs` outputs, those on a single pixel (fully connected layers by another name), what is inside Ghost modules already, and
 * where a Ghost module would have more weights. A convolution that is used twice is replaced only if the same follows it both times.
 *
 * @throws GhostkitError when nothing qualifies, and for options that cannot be.
 */
export function ghostify<M extends Module>(model: M, options: GhostifyOptions = {}): M {
  const create = moduleFactory(options);
  const places = placesOf(model);
  const { replaces = () => true, input = defaultInput(model, places) } = options;
  const uses = usesOf(model, places, { ...options, input });
  const chosen = [...uses].filter(([conv, [use]]) => replaces(layerOf(conv, use, places)));
  if (chosen.length === 0) {
    throw new GhostkitError(
      `ghostify: none of the ${places.size} convolutions can be replaced: what is left has too few outputs, groups, a kernel ` +
        'that is not square, the image or a single pixel for input, or is part of a Ghost module',
    );
  }
  const replacements = chosen.flatMap(([conv, [use]]): Replacement[] => {
    const at = places.get(conv) as Place[];
    const module = create(layerOf(conv, use, places), use);
    return [[at, conv, module], ...(use.norm ? [[use.norm.places, use.norm.module, new Identity()] as const] : [])];
  });
  for (const [at, , module] of replacements) put(at, module);
  try {
    trace(model, { input });
  } catch (error) {
    for (const [at, original] of replacements) put(at, original);
    const what = chosen.map(([conv]) => (places.get(conv) as Place[])[0].name).join(', ');
    throw new GhostkitError(
      `ghostify: the network does more with a layer than to run it (${(error as Error).message}); leave it out with replaces: ${what}`,
    );
  }
  return model;
}

type Replacement = readonly [at: readonly Place[], original: Network, by: Module];

/** Where a module stands; one that is shared stands in several places. */
interface Place {
  readonly parent: Network;
  readonly key: string;
  readonly name: string;
}

/** One application of a convolution: how it is computed and what of what follows it becomes part of its module. */
interface Use {
  readonly node: Value<Conv2dAttrs>;
  readonly norm?: {
    readonly module: BatchNorm2d;
    readonly places: readonly Place[];
    readonly options: { readonly epsilon: number; readonly momentum: number };
  };
  readonly relu: boolean;
}

function put(places: readonly Place[], by: Network): void {
  for (const { parent, key } of places) parent.replaceChild(key, by);
}

type Places<T extends Network> = Map<T, Place[]>;

/** The convolutions of a network and where they are, Ghost modules' own left out. */
function placesOf(root: Network): Places<Conv2d> {
  return find(root, Conv2d);
}

function find<T extends Network>(root: Network, kind: new (...args: never[]) => T): Places<T> {
  const found: Places<T> = new Map();
  const walk = (parent: Network, prefix: string) => {
    for (const [key, child] of parent.namedChildren()) {
      if (child instanceof GhostModule || child instanceof RepGhostModule) continue;
      const name = prefix + key;
      if (child instanceof kind) found.set(child, [...(found.get(child) ?? []), { parent, key, name }]);
      else walk(child, `${name}.`);
    }
  };
  walk(root, '');
  return found;
}

/** The convolutions that qualify, each with its uses, which do not differ. In the order in which they are computed. */
function usesOf(
  model: Module,
  places: Places<Conv2d>,
  { ratio = 2, kernel = 3, module = 'ghost', minOutputs = 8, input }: GhostifyOptions & { input: Shape },
): Map<Conv2d, [Use, ...Use[]]> {
  const ofWeight = new Map([...places.keys()].map((conv) => [conv.weight, conv]));
  const graph = trace(model, { input });
  const order = topological(Object.values(graph.outputs));
  const follow = followers(model, usersOf(graph), outputSet(graph));

  /** Whether a value has been through a convolution. */
  const convolved = new Set<Value>();
  const uses = new Map<Conv2d, [Use, ...Use[]]>();
  const kept = new Set<Conv2d>();
  for (const value of order) {
    if (value.inputs.some((v) => convolved.has(v)) || isOp(value, conv2dOp)) convolved.add(value);
    const weight = value.inputs.map(parameterIn);
    const conv = weight.map((w) => w && ofWeight.get(w)).find((c) => c !== undefined);
    if (!conv) continue;
    const qualifies =
      isOp(value, conv2dOp) &&
      weight.indexOf(conv.weight) === 1 &&
      convolved.has(value.inputs[0]) &&
      value.attrs.groups === 1 &&
      isSquare(conv.weight.shape) &&
      value.shape[1] >= minOutputs &&
      Math.max(...value.inputs[0].shape.slice(2)) > 1 &&
      (module === 'repghost' || isCheaper(conv.weight.shape, ratio, kernel));
    const use = qualifies && { node: value, ...follow(value) };
    const others = uses.get(conv);
    if (!use || (others && !sameUse(others[0], use))) kept.add(conv);
    else if (others) others.push(use);
    else uses.set(conv, [use]);
  }
  for (const conv of kept) uses.delete(conv);
  return uses;
}

function parameterIn(value: Value): Parameter | undefined {
  return isOp(value, parameterOp) ? (value.attrs.parameter as Parameter) : undefined;
}

function defaultInput(model: Module, places: Places<Conv2d>): Shape {
  const [first] = places.keys();
  if (!first) throw new GhostkitError('ghostify: the network has no convolutions below it');
  const channels = model instanceof Classifier ? model.inChannels : first.weight.shape[1];
  return [1, channels, 224, 224];
}

const isSquare = ([, , height, width]: Shape) => height === width;

/** Compares the weights of a Ghost module with those of the convolution `[out, in, kernel, kernel]` that it would replace. */
function isCheaper([out, inChannels, kernel]: Shape, ratio: number, dwKernel: number): boolean {
  const intrinsic = Math.ceil(out / ratio);
  const own = intrinsic * inChannels * kernel ** 2 + intrinsic * (ratio - 1) * dwKernel ** 2;
  return own < out * inChannels * kernel ** 2;
}

/** What is behind a convolution: a batch norm that nothing else goes through, and a ReLU. */
function followers(model: Module, users: ReadonlyMap<Value, readonly Value[]>, outputs: ReadonlySet<Value>) {
  const norms = find(model, BatchNorm2d);
  const ofWeight = new Map([...norms.keys()].map((norm) => [norm.weight, norm]));
  const onlyReader = (value: Value) => {
    const readers = users.get(value) ?? [];
    return readers.length === 1 && !outputs.has(value) ? readers[0] : undefined;
  };
  return (conv: Value): Omit<Use, 'node'> => {
    const next = onlyReader(conv);
    const norm = next && isOp(next, batchNormOp) && next.inputs[0] === conv ? next : undefined;
    const module = norm && ofWeight.get(parameterIn(norm.inputs[1]) as Parameter);
    // A batch norm that also normalises something else has to stay.
    const weight = conv.inputs[1];
    const own = module && users.get(norm.inputs[1])?.every((use) => use.inputs[0].inputs[1] === weight);
    const last = own ? onlyReader(norm) : next;
    return {
      ...(own && { norm: { module, places: norms.get(module) as Place[], options: normOptions(norm) } }),
      relu: last !== undefined && isOp(last, activationOp) && last.attrs.kind === 'relu',
    };
  };
}

const normOptions = ({ attrs: { epsilon, momentum } }: Value<BatchNormAttrs>) => ({ epsilon, momentum });

function sameUse(a: Use, b: Use): boolean {
  const attrs = (use: Use) => JSON.stringify(use.node.attrs);
  return a.norm?.module === b.norm?.module && a.relu === b.relu && attrs(a) === attrs(b);
}

function layerOf(conv: Conv2d, { node }: Use, places: Places<Conv2d>): GhostifyLayer {
  const [outChannels, inChannels, kernel] = conv.weight.shape;
  const { name } = (places.get(conv) as Place[])[0];
  return { name, inChannels, outChannels, kernel, output: node.shape };
}

/** Checks the options, and makes the module for a layer. */
function moduleFactory({ module = 'ghost', ratio, kernel = 3, reparam, minOutputs = 8 }: GhostifyOptions) {
  needOddKernel('ghostify', kernel, 'kernel');
  if (ratio !== undefined) needRatio('ghostify', ratio);
  if (!(minOutputs >= 1)) throw new GhostkitError(`ghostify: minOutputs must be at least 1, got ${minOutputs}`);
  if (module !== 'ghost' && module !== 'repghost') {
    throw new GhostkitError(`ghostify: module must be ghost or repghost, got ${String(module)}`);
  }
  if (module === 'repghost' && ratio !== undefined) {
    throw new GhostkitError(
      'ghostify: RepGhost modules have no ratio, they add feature maps instead of concatenating them; make the network narrower instead',
    );
  }
  if (module === 'ghost' && reparam !== undefined) {
    throw new GhostkitError('ghostify: reparam is an option of RepGhost modules; set module to repghost');
  }
  return ({ inChannels, outChannels, kernel: primary }: GhostifyLayer, { node, norm, relu }: Use): Module => {
    const { stride, padding, dilation } = node.attrs;
    const common = { kernel: primary, dwKernel: kernel, stride, padding, dilation, relu, norm: norm?.options };
    return module === 'ghost'
      ? new GhostModule(inChannels, outChannels, { ...common, ratio })
      : new RepGhostModule(inChannels, outChannels, { ...common, reparam });
  };
}
