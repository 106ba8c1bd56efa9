import { constant } from '../graph/leaves.js';
import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape } from '../tensor/tensor.js';
import { add, div, mul, sub } from './binary.js';
import { sqrt } from './math.js';
import { sumTo } from './reduce.js';
import { reshape } from './reshape.js';
import { planesOf } from './shapes.js';

/**
 * Every row of `x: [N,C]`, or every pixel of `[N,C,H,W]`, brought to mean 0 and variance 1 over its channels, then `x * scale + shift`, each `[C]`.
 */
export const layerNormOp = defineOperator<{ epsilon: number }>({
  name: 'layer_norm',
  shape([x, scale, shift]) {
    const channels = formatShape(x.slice(1, 2));
    if ((x.length !== 2 && x.length !== 4) || formatShape(scale) !== channels || formatShape(shift) !== channels) {
      throw new GhostkitError(
        `layer_norm: input ${formatShape(x)} does not fit scale ${formatShape(scale)} and shift ${formatShape(shift)}`,
      );
    }
    return x;
  },
  reference([x, scale, shift], { attrs: { epsilon }, shape }) {
    const y = new Float64Array(x.data.length);
    const channels = shape[1];
    for (const { start, step } of planesOf(shape)) {
      let mean = 0;
      for (let c = 0; c < channels; c++) mean += x.data[start + c * step] / channels;
      let variance = 0;
      for (let c = 0; c < channels; c++) variance += (x.data[start + c * step] - mean) ** 2 / channels;
      const factor = 1 / Math.sqrt(variance + epsilon);
      for (let c = 0; c < channels; c++) {
        const at = start + c * step;
        y[at] = (x.data[at] - mean) * factor * scale.data[c] + shift.data[c];
      }
    }
    return y;
  },
  gradient([x, scale, shift], value, grad) {
    const along: Shape = x.shape.map((d, i) => (i === 1 ? d : 1));
    const across: Shape = x.shape.map((d, i) => (i === 1 ? 1 : d));
    const meanOf = (values: readonly Value[]) => sumTo(values, across, 1 / x.shape[1]);
    const centred = sub(x, meanOf([x]));
    const deviation = sqrt(add(meanOf([centred, centred]), constant([], [value.attrs.epsilon])));
    const normal = div(centred, deviation);
    const scaled = mul(grad, reshape(scale, along));
    const inner = sub(sub(scaled, meanOf([scaled])), mul(normal, meanOf([scaled, normal])));
    return [
      div(inner, deviation),
      reshape(sumTo([grad, normal], along), scale.shape),
      reshape(sumTo([grad], along), shift.shape),
    ];
  },
  lower(value, to) {
    const [x, scale, shift] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    to.emit(Opcode.LayerNorm, [
      ...[x, x.stride, y, y.stride, y.rows, y.channels, scale, shift],
      { float: value.attrs.epsilon },
    ]);
  },
  onnx(value, to) {
    const [x, ...affine] = value.inputs.map((v) => to.name(v));
    const image = value.shape.length === 4;
    const last = image ? to.node('Transpose', [x], { perm: [0, 2, 3, 1] }) : x;
    const attributes = { axis: -1, epsilon: { float: value.attrs.epsilon } };
    const y = to.node('LayerNormalization', [last, ...affine], attributes);
    return image ? to.node('Transpose', [y], { perm: [0, 3, 1, 2] }) : y;
  },
});

/** Layer normalisation over the channels (Ba et al., arXiv:1607.06450; of images as in ConvNeXt, arXiv:2201.03545). */
export function layerNorm(x: Value, { scale, shift }: { scale: Value; shift: Value }, { epsilon = 1e-5 } = {}): Value {
  return apply(layerNormOp, [x, scale, shift], { epsilon });
}
