import { formatShape, type Shape, sizeOf } from '../../../tensor/tensor.js';
import { MOST_DIMENSIONS } from '../tensor.js';
import type { Node } from './node.js';
import { Flow } from './tensors.js';

// The shapes that Reshape and its relatives make of a shape, the same for what is known and for what is computed at run time.

/** 0 keeps a dimension, -1 is what is left. */
export function reshapeTarget(node: Node, from: Shape): Shape {
  const wanted = node.listOrInput('shape', 1) ?? node.fail('its shape is missing');
  const keep = node.number('allowzero', 0) === 0;
  const shape = wanted.map((d, i) =>
    d === 0 && keep ? (from[i] ?? node.fail('it keeps a dimension there is not')) : d,
  );
  const open = shape.filter((d) => d === -1).length;
  const { batch } = node.context;
  // A file that was written for one batch has its size in here, as its exporter traced it; of a constant it is no batch.
  const traced = batch && node.inputs[0] instanceof Flow && from[0] === batch.wanted && shape[0] === batch.written;
  if (traced && (open > 0 || sizeOf(shape) !== sizeOf(from))) shape[0] = batch.wanted;
  if (open > 1) node.fail('more than one dimension is left open');
  const rest = shape.reduce((n, d) => (d === -1 ? n : n * d), 1);
  const target = open ? shape.map((d) => (d === -1 ? sizeOf(from) / rest : d)) : shape;
  if (!target.every((d) => Number.isSafeInteger(d) && d >= 0) || sizeOf(target) !== sizeOf(from)) {
    node.fail(`${formatShape(from)} cannot become ${formatShape(wanted)}`);
  }
  return target;
}

export function squeezed(node: Node, from: Shape): Shape {
  const listed = node.listOrInput('axes', 1);
  const axes = listed?.map((axis) => node.axis(axis, from.length)) ?? from.flatMap((d, i) => (d === 1 ? [i] : []));
  const long = axes.find((axis) => from[axis] !== 1);
  if (long !== undefined) node.fail(`dimension ${long} of ${formatShape(from)} has more than one element`);
  return from.filter((_, i) => !axes.includes(i));
}

export function unsqueezed(node: Node, from: Shape): Shape {
  const listed = node.listOrInput('axes', 1) ?? node.fail('its axes are missing');
  const rank = from.length + listed.length;
  const axes = listed.map((axis) => node.axis(axis, rank));
  if (new Set(axes).size !== axes.length || rank > MOST_DIMENSIONS) node.fail('its axes are not possible');
  let next = 0;
  return Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : from[next++]));
}

export function flattened(node: Node, from: Shape): Shape {
  const listed = node.number('axis', 1);
  const axis = listed === from.length ? listed : node.axis(listed, from.length);
  return [sizeOf(from.slice(0, axis)), sizeOf(from.slice(axis))];
}
