import { resizeBilinear, resizeNearest } from '../../../ops/resize.js';
import { formatShape } from '../../../tensor/tensor.js';
import type { Node } from './node.js';
import { Flow, type Tensor } from './tensors.js';

// Images at another size.

export function importResize(node: Node): Tensor {
  if (node.input(0).shape.length !== 4) node.fail('only images can be resized');
  const policy = node.text('keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') node.fail(`keep_aspect_ratio_policy ${policy} is not supported`);
  // Before version 11 there was nothing to choose.
  const older = node.opType === 'Upsample' || node.context.opset < 11;
  const transformation = node.text('coordinate_transformation_mode', older ? 'asymmetric' : 'half_pixel');
  // In either layout the pixels may change; which dimensions they are, the value's own order tells.
  const given = node.flow(0);
  const x = given.axes[1] === 1 || given.axes[3] === 1 ? given : new Flow(given.materialize());
  const size = sizeAfter(node, x, older ? 1 : 2, transformation);
  const mode = node.text('mode', 'nearest');
  if (mode === 'nearest') {
    const [, , ...before] = x.value.shape;
    for (const [i, to] of size.entries()) {
      // onnxruntime rounds up in the older versions where an image becomes smaller.
      const olderMode = to < before[i] ? 'ceil' : 'floor';
      const nearest = node.text('nearest_mode', older ? olderMode : 'round_prefer_floor');
      if (!isLeftmost(transformation, nearest, before[i], to)) {
        node.fail(`nearest pixels by ${transformation}, ${nearest} are not supported from ${before[i]} to ${to}`);
      }
    }
    return new Flow(resizeNearest(x.value, size), x.axes);
  }
  if (mode !== 'linear' || node.number('antialias', 0) !== 0) node.fail(`the mode ${mode} is not supported`);
  const corners = transformation === 'align_corners';
  const plain =
    transformation === 'half_pixel' || (transformation === 'pytorch_half_pixel' && size.every((d) => d > 1));
  if (!corners && !plain) node.fail(`${transformation} is not supported`);
  return new Flow(resizeBilinear(x.value, size, { alignCorners: corners }), x.axes);
}

/** Whether the nearest pixels along a dimension are those at or left of `i * from / to`, which `resizeNearest` takes. */
function isLeftmost(transformation: string, nearest: string, from: number, to: number): boolean {
  if (transformation === 'asymmetric') return nearest === 'floor' || (nearest === 'ceil' && from % to === 0);
  // By a whole factor every pixel is repeated: no centre is as near to two.
  const rounds = nearest === 'round_prefer_floor' || nearest === 'round_prefer_ceil';
  return transformation === 'half_pixel' && rounds && to % from === 0;
}

/** Height and width of the result, from sizes or scales in the tensor's order of dimensions. */
function sizeAfter(node: Node, x: Flow, scalesAt: number, transformation: string): readonly [number, number] {
  const attribute = node.attribute('scales');
  const sizes = node.has(3) ? node.integers(3, 'sizes') : undefined;
  const scales = Array.isArray(attribute)
    ? (attribute as number[])
    : [...(node.optional(scalesAt, 'scales')?.numbers() ?? [])];
  // In float32, as onnxruntime: 5/3 of 6 are 10.
  const scaled = scales.map((scale, i) => Math.floor(Math.fround(x.shape[i] * scale)));
  const target = sizes?.length ? sizes : scaled;
  const fits = target.length === 4 && target.every((d) => Number.isSafeInteger(d) && d >= 1 && d <= 2 ** 16);
  if (!fits || node.list('axes')) return node.fail('its sizes or scales must be four numbers');
  // Pixels lie by the scale that is given, not by the ratio of the sizes; one pixel, and corners that stay, lie the same by either.
  const uneven = (d: number, i: number) => x.shape[i] > 1 && Math.abs((x.shape[i] * scales[i]) / d - 1) > 1e-6;
  if (target === scaled && transformation !== 'align_corners' && target.some(uneven)) {
    node.fail(`scales that make no whole size of ${formatShape(x.shape)} are not supported`);
  }
  const stored = new Array<number>(4);
  for (const [i, axis] of x.axes.entries()) stored[axis] = target[i];
  if (stored[0] !== x.value.shape[0] || stored[1] !== x.value.shape[1]) node.fail('only pixels can be resized');
  return [stored[2], stored[3]];
}
