import type { Graph } from '../graph/value.js';
import type { FloatTensor } from '../tensor/tensor.js';

/** How {@link quantizeModel} goes about it. */
export interface QuantizeOptions {
  /** Pictures as the network sees them, `[N,3,H,W]`, normalised; all batches of one shape. At least one. */
  readonly calibration: readonly FloatTensor[];
  /** One scale for all weights of a layer instead of one for each output channel: less exact, for runtimes that need it. */
  readonly perTensor?: boolean;
  /** Layers that stay in float, by the names in {@link LayerError}; by default those where that pays, by measurement. */
  readonly floatLayers?: readonly string[];
  readonly threads?: number;
  /** Called with the share of the work that is done, from 0 to 1. */
  readonly onProgress?: (done: number) => void;
}

/** How far a layer's results are from those of the float network, over calibration pictures. */
export interface LayerError {
  /** The name of the layer's weight in the state dict without `.weight`. */
  readonly name: string;
  readonly kind: 'convolution' | 'depthwise' | 'linear';
  readonly precision: 'int8' | 'float32';
  /** Signal to noise of the layer's result in decibels: what all layers up to it have added. */
  readonly sqnr: number;
  /** Multiply-accumulates for one picture. */
  readonly macs: number;
}

export interface QuantizedModel {
  /**
   * The quantised graph, for the shape of the calibration batches; `reshapeInput` of `graph/passes/reshape-input.js` makes it one for another
   * number or size of pictures. Compile it with `compileGraph(graph, { deploy: false })`, write it with `compileGraphToBytes` or `exportOnnx`.
   */
  readonly graph: Graph;
  readonly layers: readonly LayerError[];
}
