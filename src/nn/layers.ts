import type { Value } from '../graph/value.js';
import * as ops from '../ops/index.js';
import { GhostkitError } from '../tensor/error.js';
import { sizeOf } from '../tensor/tensor.js';
import { constantInit, defaultBiasInit, defaultWeightInit, type Initializer } from './init.js';
import { Module, Parameter } from './module.js';

/** How a layer's weight and bias start; PyTorch's defaults where absent. */
export interface LayerInit {
  weight?: Initializer;
  bias?: Initializer;
}

export interface Conv2dLayerOptions extends ops.Conv2dOptions {
  bias?: boolean;
  init?: LayerInit;
}

/** The side of a square kernel, or its height and width. */
export type KernelSize = number | readonly [height: number, width: number];

/** 2-D convolution, weight `[out, in/groups, height, width]`. */
export class Conv2d extends Module {
  readonly weight: Parameter;
  readonly bias?: Parameter;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: KernelSize,
    private readonly options: Conv2dLayerOptions = {},
  ) {
    super();
    const { groups = 1, init = {} } = options;
    const [height, width] = typeof kernel === 'number' ? [kernel, kernel] : kernel;
    const shape = [outChannels, inChannels / groups, height, width];
    if (![...shape, outChannels / groups].every((d) => Number.isInteger(d) && d >= 1)) {
      throw new GhostkitError(
        `conv2d: ${inChannels} to ${outChannels} channels in ${groups} groups, kernel ${height}x${width}: no such convolution`,
      );
    }
    this.weight = new Parameter(shape, init.weight ?? defaultWeightInit);
    if (options.bias) this.bias = new Parameter([outChannels], init.bias ?? defaultBiasInit(sizeOf(shape.slice(1))));
  }

  forward(x: Value): Value {
    return ops.conv2d(x, this.weight.value, this.bias?.value, this.options);
  }
}

/** `x · weightᵀ + bias`, weight `[out, in]`. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias?: Parameter;

  constructor(
    inFeatures: number,
    outFeatures: number,
    { bias = true, init = {} }: { bias?: boolean; init?: LayerInit } = {},
  ) {
    super();
    this.weight = new Parameter([outFeatures, inFeatures], init.weight ?? defaultWeightInit);
    if (bias) this.bias = new Parameter([outFeatures], init.bias ?? defaultBiasInit(inFeatures));
  }

  forward(x: Value): Value {
    return ops.linear(x, this.weight.value, this.bias?.value);
  }
}

/** Batch normalisation over the channels of `[N,C,H,W]`. */
export class BatchNorm2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly running_mean: Parameter;
  readonly running_var: Parameter;

  constructor(
    channels: number,
    private readonly options: { epsilon?: number; momentum?: number } = {},
  ) {
    super();
    this.weight = new Parameter([channels], constantInit(1));
    this.bias = new Parameter([channels], constantInit(0));
    this.running_mean = new Parameter([channels], constantInit(0), false);
    this.running_var = new Parameter([channels], constantInit(1), false);
  }

  forward(x: Value): Value {
    const { weight, bias, running_mean, running_var } = this;
    return ops.batchNorm(
      x,
      { weight: weight.value, bias: bias.value, runningMean: running_mean.value, runningVar: running_var.value },
      this.options,
    );
  }
}

/** Modules one after another; their names are their numbers. */
export class Sequential extends Module {
  readonly layers: readonly Module[];

  constructor(layers: readonly Module[]) {
    super();
    this.layers = [...layers];
    Object.defineProperty(this, 'layers', { enumerable: false });
    for (const i of layers.keys()) Object.defineProperty(this, i, { get: () => this.layers[i], enumerable: true });
  }

  override replaceChild(key: string, child: Module): void {
    (this.layers as Module[])[Number(key)] = child;
  }

  forward(x: Value): Value {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }
}

/** A module without parameters around a function of one value. */
export class Lambda extends Module {
  readonly apply: (x: Value) => Value;

  constructor(apply: (x: Value) => Value) {
    super();
    this.apply = apply;
  }

  forward(x: Value): Value {
    return this.apply(x);
  }
}

export class ReLU extends Lambda {
  constructor() {
    super(ops.relu);
  }
}

export class ReLU6 extends Lambda {
  constructor() {
    super(ops.relu6);
  }
}

/** A learnt slope below zero for each channel. */
export class PReLU extends Module {
  readonly weight: Parameter;

  constructor(channels: number) {
    super();
    this.weight = new Parameter([channels], constantInit(0.25));
  }

  forward(x: Value): Value {
    return ops.prelu(x, this.weight.value);
  }
}

export class Identity extends Lambda {
  constructor() {
    super((x) => x);
  }
}

/** Zeroes a share `p` of the elements while training. */
export class Dropout extends Lambda {
  constructor(p: number) {
    super((x) => ops.dropout(x, p));
  }
}

export function conv2d(
  inChannels: number,
  outChannels: number,
  kernel: KernelSize,
  options?: Conv2dLayerOptions,
): Conv2d {
  return new Conv2d(inChannels, outChannels, kernel, options);
}

export function batchNorm(channels: number, options?: { epsilon?: number; momentum?: number }): BatchNorm2d {
  return new BatchNorm2d(channels, options);
}

/** A sequence; `false` and `undefined` hold their place, so that the names of what follows do not depend on an option. */
export function sequential(...layers: (Module | false | undefined)[]): Sequential {
  return new Sequential(layers.map((layer) => layer || new Identity()));
}
