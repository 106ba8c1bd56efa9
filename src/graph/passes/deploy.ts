import { dropoutOp } from '../../ops/dropout.js';
import { type Graph, isOp, rewrite } from '../value.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { foldConstants } from './fold-constants.js';
import { fuse } from './fuse.js';
import { removeIdleRelus } from './idle-relu.js';
import { reparameterize } from './reparameterize.js';
import { upsampleLast } from './upsample-last.js';

/**
 * The deploy form: what a trained network is shipped as. The weights as they are now become constants, branches and batch norms
 * part of the convolutions. Branches come first: each merged kernel is then rounded once, its batch norms included.
 */
export function deploy(graph: Graph): Graph {
  return foldBatchNorm(reparameterize(foldConstants(removeDropout(graph))));
}

/** What every compiled graph gets, deploy form or not: nothing that is not needed, nothing twice, and element-wise work fused. */
export function optimize(graph: Graph): Graph {
  return fuse(removeIdleRelus(upsampleLast(removeDropout(graph))));
}

/** Outside of training dropout is the identity. */
export function removeDropout(graph: Graph): Graph {
  return rewrite(graph, (value) => (isOp(value, dropoutOp) ? value.inputs[0] : value));
}
