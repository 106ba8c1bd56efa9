import { loadState } from '../../formats/load-state.js';
import type { Network } from '../../nn/module.js';
import { GhostkitError } from '../../tensor/error.js';
import type { Tensor } from '../../tensor/tensor.js';

/**
 * Takes over one network's weights from the state of a whole training module, where they stand behind `prefix`; what stands behind
 * other prefixes (losses, other networks) is not looked at.
 *
 * Throws a {@link GhostkitError} of one line when the state has no such network or its keys or shapes do not fit.
 */
export function loadPart(network: Network, state: ReadonlyMap<string, Tensor>, prefix: string): void {
  const own = new Map([...state].filter(([key]) => key.startsWith(prefix)));
  if (own.size === 0) throw new GhostkitError(`the file has no weights of ${prefix}*; is it the right checkpoint?`);
  const expected = new Map([...network.stateShapes()].map(([key, shape]) => [prefix + key, shape]));
  const matched = loadState(expected, own);
  network.assign(new Map([...matched].map(([key, tensor]) => [key.slice(prefix.length), tensor])));
}
