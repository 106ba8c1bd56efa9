import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { input } from '../../src/graph/leaves.js';
import { deploy, optimize } from '../../src/graph/passes/deploy.js';
import type { Graph, Value } from '../../src/graph/value.js';
import { isForTraining, Opcode } from '../../src/kernels/opcodes.js';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { createModel, listModels } from '../../src/models/registry.js';
import { trace } from '../../src/nn/trace.js';
import * as ops from '../../src/ops/index.js';
import { checkProgram } from '../../src/runtime/check-program.js';
import { lowerGraph } from '../../src/runtime/lower.js';
import { assemble, callStarts, type Program } from '../../src/runtime/program.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { noiseConstant } from './support.js';

function programOf(graph: Graph, threads = 2) {
  const { program, image } = assemble(lowerGraph(optimize(graph), { threads }), { threads, macs: 0 });
  return { program, words: image.words };
}

describe('the check of a compiled program', () => {
  const names = listModels({ all: true })
    .map(({ name }) => name)
    .filter((name) => !/_(130|150|200)$|resnet(34|101)/.test(name));

  it.each(names)('finds nothing in %s', (name) => {
    const size = name.includes('56') || name.includes('cifar') ? 32 : 64;
    const graph = trace(assignNamedWeights(createModel(name, { classes: 10 })), { input: [2, 3, size, size] });
    for (const form of [graph, deploy(graph)]) {
      const { program, words } = programOf(form);
      expect(() => checkProgram(program, words)).not.toThrow();
    }
  });

  it('finds nothing in what else can be compiled', () => {
    const x = input('x', [2, 6, 20, 18]);
    const weight = (seed: string, ...shape: number[]) => noiseConstant(seed, shape);
    const outputs: Record<string, Value> = {
      colours: ops.conv2d(x, weight('a', 3, 6, 3, 3), weight('b', 3), { padding: 1 }),
      instance: ops.instanceNorm(x, { scale: weight('c', 6), shift: weight('d', 6) }),
      plain: ops.instanceNorm(x),
      prelu: ops.prelu(x, weight('e', 6)),
      resized: ops.resizeBilinear(x, [7, 33]),
      softmax: ops.softmax(x),
      turned: ops.transpose(x, [0, 2, 3, 1]),
      pooled: ops.maxPool(x, 3, { stride: 2, padding: 1 }),
      wide: ops.conv2d(x, weight('f', 32, 6, 3, 3), undefined, { padding: 2, dilation: 2 }),
    };
    const { program, words } = programOf({ inputs: { x }, outputs });
    expect(() => checkProgram(program, words)).not.toThrow();
  });

  describe('refuses', () => {
    const model = assignNamedWeights(createModel('repghostnet_050', { width: 0.3, classes: 10 }));
    const { program, words } = programOf(deploy(trace(model, { input: [1, 3, 32, 32] })));
    const wrong = (change: (words: Int32Array, start: number) => void, of: Partial<Program> = {}) => {
      const changed = words.slice();
      // A convolution in the middle.
      const call = program.labels.findIndex((label, i) => i > 5 && label.startsWith('conv2d'));
      change(changed, callStarts(words)[call]);
      try {
        checkProgram({ ...program, ...of }, changed);
      } catch (error) {
        if (error instanceof GhostkitError) return error.message;
        throw error;
      }
      return 'nothing';
    };
    const set = (i: number, value: number) => wrong((w, start) => (w[start + 2 + i] = value));

    it('kernels that do not exist, or that only training has', () => {
      for (const opcode of [9999, -1, 35]) {
        expect(wrong((w, start) => (w[start] = opcode))).toMatch(/call \d+ is of a kernel that does not exist/);
      }
    });
    it('exactly the kernels that only training has', () => {
      const dispatched = ['index', 'int8'].flatMap((file) => {
        const text = readFileSync(new URL(`../../src/kernels/${file}.ts`, import.meta.url), 'utf8');
        return [...text.matchAll(/case Opcode\.(\w+):/g)].map(([, name]) => name);
      });
      const accepted = Object.values(Opcode).filter(
        (opcode) => typeof opcode === 'number' && !/does not exist/.test(wrong((w, start) => (w[start] = opcode))),
      );
      expect(accepted.map((opcode) => Opcode[opcode as Opcode]).sort()).toEqual(dispatched.sort());
      const inference = Object.values(Opcode).filter((opcode) => typeof opcode === 'number' && !isForTraining(opcode));
      expect(accepted).toEqual(inference);
    });
    it('another number of arguments', () => {
      for (const count of [0, 1000, -1]) {
        expect(wrong((w, start) => (w[start + 1] = count))).toMatch(/not as many arguments/);
      }
    });
    it('places outside of the memory, and results over the program or the weights', () => {
      expect(set(0, program.memory.total)).toMatch(/reads outside of its memory/);
      expect(set(0, -64)).toMatch(/reads outside/);
      expect(set(0, 0)).toMatch(/reads outside/);
      expect(set(2, program.address)).toMatch(/writes outside/);
      expect(set(2, program.address + 4096)).toMatch(/writes outside/);
    });
    it('counts that lead out of it or that nothing stands behind', () => {
      expect(set(1, 2 ** 30)).toMatch(/reads outside/);
      expect(set(3, 0)).toMatch(/writes outside/);
      expect(set(4, 2 ** 30)).toMatch(/outside/);
      expect(set(4, -1)).toMatch(/outside/);
    });
    it('no channels, of which a kernel could have any number of rows', () => {
      expect(set(7, 0)).toMatch(/reads outside/);
    });
    it('calls that end before or behind the words, and names that do not belong to them', () => {
      expect(wrong(() => {}, { wordCount: program.wordCount - 1 })).toMatch(/not as many arguments/);
      expect(wrong(() => {}, { wordCount: program.wordCount + 1 })).toMatch(/not as many arguments/);
      expect(wrong(() => {}, { labels: program.labels.slice(1) })).toMatch(/is behind the last, and \d+ have a name/);
    });
  });
});
