import { afterEach, describe, expect, it, vi } from 'vitest';
import { FaceDetector } from '../../src/headswap/detect/detect.js';
import { Blender, CompiledBlender } from '../../src/models/ghost2/blender.js';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { Executor } from '../../src/runtime/executor.js';

const create = Executor.create;
afterEach(() => vi.restoreAllMocks());

/** Lets `good` networks be made and none behind them; returns how many of those are open. */
function failAfter(good: number): () => number {
  const made: Executor[] = [];
  const closed = new Set<Executor>();
  const close = Executor.prototype.close;
  vi.spyOn(Executor.prototype, 'close').mockImplementation(function (this: Executor) {
    closed.add(this);
    close.call(this);
  });
  vi.spyOn(Executor, 'create').mockImplementation(async (...of) => {
    if (made.length === good) throw new Error('no memory');
    made.push(await create(...of));
    return made[made.length - 1];
  });
  return () => {
    expect(made).toHaveLength(good);
    return made.filter((each) => !closed.has(each)).length;
  };
}

const blender = () => assignNamedWeights(new Blender({ maxChannels: 8 }), 'blender.');
const size = [32, 40] as const;

describe('networks that are made together', () => {
  it.each([1, 2])('are closed when that of a detector behind %i cannot be made', async (good) => {
    const open = failAfter(good);
    await expect(FaceDetector.create({ threads: 2 })).rejects.toThrow('no memory');
    expect(open()).toBe(0);
  });

  it.each([1, 2])('are closed when that of a blender behind %i cannot be made', async (good) => {
    const open = failAfter(good);
    await expect(CompiledBlender.create(blender(), { size, threads: 2 })).rejects.toThrow('no memory');
    expect(open()).toBe(0);
  });

  it('are closed elsewhere, too, and what made it fail is told', async () => {
    const close = vi.fn(async () => {
      throw new Error('stuck');
    });
    const ready = async (name: string) => {
      if (name === 'decoder') throw new Error('no memory');
      return { run: () => ({}), close };
    };
    await expect(CompiledBlender.create(blender(), { size, ready })).rejects.toThrow('no memory');
    expect(close).toHaveBeenCalledTimes(1);
  });

  it('are all closed with the blender, whatever becomes of one', async () => {
    const open = failAfter(1);
    const stuck = vi.fn(async () => {
      throw new Error('stuck');
    });
    const close = vi.fn(async () => {});
    const ready = async (name: string) => ({ run: () => ({}), close: name === 'features' ? stuck : close });
    const net = await CompiledBlender.create(blender(), { size, ready });
    await expect(net.close()).rejects.toThrow('stuck');
    expect(close).toHaveBeenCalledTimes(1);
    expect(open()).toBe(0);
  });
});
