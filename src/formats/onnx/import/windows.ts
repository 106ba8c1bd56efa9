import { apply } from '../../../graph/value.js';
import { poolOp } from '../../../ops/pool.js';
import { type Shape, sameShape } from '../../../tensor/tensor.js';
import type { Node, Padding } from './node.js';
import { Flow, type Tensor } from './tensors.js';

type Pair = readonly [number, number];

/** No image is padded by more. */
const MOST_PADDING = 2 ** 16;

/** The padding of a window operator, `[top, left, bottom, right]`, from `pads` or `auto_pad`. */
export function windowPadding(
  node: Node,
  [, , height, width]: Shape,
  kernel: Pair,
  stride: Pair,
  dilation: Pair,
): Padding {
  const auto = node.text('auto_pad', 'NOTSET');
  if (auto === 'VALID') return [0, 0, 0, 0];
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') {
    const [[top, bottom], [left, right]] = [height, width].map((size, d) => {
      const reach = (kernel[d] - 1) * dilation[d] + 1;
      const total = Math.max((Math.ceil(size / stride[d]) - 1) * stride[d] + reach - size, 0);
      const less = Math.floor(total / 2);
      return auto === 'SAME_UPPER' ? [less, total - less] : [total - less, less];
    });
    return [top, left, bottom, right];
  }
  if (auto !== 'NOTSET') node.fail(`auto_pad ${auto} is not supported`);
  const given = node.list('pads') ?? [0, 0, 0, 0];
  // Of one dimension there are two, and none for rows.
  const pads = given.length === 2 ? [0, given[0], 0, given[1]] : given;
  if (pads.length !== 4 || !pads.every((p) => p >= 0 && p <= MOST_PADDING)) {
    node.fail('its pads must be four numbers that are not negative');
  }
  return [pads[0], pads[1], pads[2], pads[3]];
}

export function importPool(node: Node): Tensor {
  const kind = node.opType === 'MaxPool' ? 'max' : 'average';
  if (node.proto.outputs.filter((name) => name !== '').length > 1) node.fail('the places of maxima are not supported');
  const x = node.image(0);
  if (!node.list('kernel_shape')) node.fail('it has no kernel_shape');
  const kernel = node.pair('kernel_shape', [1, 1]);
  const stride = node.pair('strides', [1, 1]);
  if (!sameShape(node.pair('dilations', [1, 1]), [1, 1])) node.fail('dilations are not supported');
  if (node.number('storage_order', 0) !== 0) node.fail('storage_order is not supported');
  const countIncludePad = node.number('count_include_pad', 0) !== 0;
  let padding = windowPadding(node, x.shape, kernel, stride, [1, 1]);
  if (node.number('ceil_mode', 0) !== 0) {
    const more = roundedUp(x.shape, kernel, stride, padding);
    const grown = more.some((extra) => extra > 0);
    // What is beyond the padding counts in no divisor, so there it would have to be told apart.
    if (grown && kind === 'average' && countIncludePad) node.fail('ceil_mode with count_include_pad is not supported');
    padding = [padding[0], padding[1], padding[2] + more[0], padding[3] + more[1]];
  }
  return new Flow(apply(poolOp, [x], { kind, kernel, stride, padding, countIncludePad }));
}

/** The padding that a last, partial window needs below and to the right, where one starts inside of the image. */
function roundedUp([, , height, width]: Shape, kernel: Pair, stride: Pair, padding: Padding): number[] {
  return [height, width].map((size, d) => {
    const before = padding[d];
    const padded = size + before + padding[d + 2];
    const rest = Math.max(padded - kernel[d], 0) % stride[d];
    const start = padded - kernel[d] - rest + stride[d];
    return rest > 0 && start < size + before ? stride[d] - rest : 0;
  });
}
