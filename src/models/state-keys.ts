import type { Tensor } from '../tensor/tensor.js';

/** The tensors of a checkpoint by their keys, as a reader gives them. */
type State = ReadonlyMap<string, Tensor>;

/**
 * The keys of GhostNet and RepGhostNet are the same in the originals and in timm. What other tools leave in such files goes:
 * counters of a profiler (`total_ops`, `total_params`), which some of the released checkpoints carry.
 */
export function ghostKeys(state: State): Map<string, Tensor> {
  return new Map([...state].filter(([key]) => !/(^|\.)total_(ops|params)$/.test(key)));
}

/** timm's parts of a block in the order in which they run, each with the batch norm behind it. */
const INVERTED_RESIDUAL = ['conv_pw', 'conv_dw', 'se', 'conv_pwl'];
const DEPTHWISE_SEPARABLE = ['conv_dw', 'se', 'conv_pw'];

/**
 * timm's keys of MobileNetV3 (`blocks.1.0.conv_pw.weight`) as torchvision's (`features.2.block.0.0.weight`); a state dict that
 * has torchvision's keys already is returned as it is. timm's head is a 1x1 convolution, torchvision's a linear layer: its weight
 * loses the last two dimensions. Weights trained by timm want the model's `epsilon: 1e-5`.
 */
export function mobilenetV3Keys(state: State): Map<string, Tensor> {
  if (!state.has('conv_stem.weight')) return new Map(state);
  const blocks = timmBlocks(state);
  const result = new Map<string, Tensor>();
  for (const [key, tensor] of state) {
    const [, block, part] = /^(blocks\.\d+\.\d+)\.(.*)$/.exec(key) ?? [];
    if (block) result.set(blocks.get(block)?.(part) ?? key, tensor);
    else
      result.set(outerKey(key), key === 'conv_head.weight' ? { ...tensor, shape: tensor.shape.slice(0, 2) } : tensor);
  }
  return result;
}

function outerKey(key: string): string {
  return key
    .replace(/^classifier\./, 'classifier.3.')
    .replace(/^conv_head\./, 'classifier.0.')
    .replace(/^conv_stem\./, 'features.0.0.')
    .replace(/^bn1\./, 'features.0.1.');
}

/** For each of timm's blocks (`blocks.1.0`) the function from a key inside it to torchvision's whole key. */
function timmBlocks(state: State): Map<string, (part: string) => string> {
  const parts = new Map<string, Set<string>>();
  for (const key of state.keys()) {
    const [, block, part] = /^(blocks\.\d+\.\d+)\.(\w+)\./.exec(key) ?? [];
    if (block) parts.set(block, (parts.get(block) ?? new Set()).add(part));
  }
  const numbers = (block: string) => block.split('.').slice(1).map(Number);
  const ordered = [...parts].sort(([a], [b]) => {
    const [p, q] = [numbers(a), numbers(b)];
    return p[0] - q[0] || p[1] - q[1];
  });
  return new Map(ordered.map(([block, has], i) => [block, blockKeys(has, `features.${i + 1}`)]));
}

function blockKeys(has: ReadonlySet<string>, to: string): (part: string) => string {
  if (has.has('conv')) return (part) => part.replace(/^conv\./, `${to}.0.`).replace(/^bn1\./, `${to}.1.`);
  const order = (has.has('conv_pwl') ? INVERTED_RESIDUAL : DEPTHWISE_SEPARABLE).filter((part) => has.has(part));
  const convolutions = order.filter((part) => part !== 'se');
  return (part) => {
    const [head, ...rest] = part.split('.');
    if (head === 'se') {
      const names: Record<string, string> = { conv_reduce: 'fc1', conv_expand: 'fc2' };
      return [to, 'block', order.indexOf('se'), names[rest[0]] ?? rest[0], ...rest.slice(1)].join('.');
    }
    const norm = /^bn(\d)$/.exec(head);
    const convolution = norm ? convolutions[Number(norm[1]) - 1] : head;
    return [to, 'block', order.indexOf(convolution), norm ? 1 : 0, ...rest].join('.');
  };
}
