import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type ReadyNet, readyGraph } from '../../src/headswap/backends.js';
import { SwapNetworks } from '../../src/headswap/networks.js';
import type { SwapWeights } from '../../src/headswap/weights.js';

vi.mock('../../src/headswap/backends.js', () => ({ readyGraph: vi.fn() }));

/** What the networks are made of does not matter here. */
const part = { nameParameters: () => {}, forward: () => ({}) };
const weights = { name: 'none', trained: false, embedder: async () => part, generator: async () => part };
const swapNetworks = () => new SwapNetworks(weights as unknown as SwapWeights, { keep: true });

const net = () => ({ run: async () => ({}), close: vi.fn(async () => {}) }) satisfies ReadyNet;
const ready = vi.mocked(readyGraph);
beforeEach(() => ready.mockReset());

describe('networks that are kept', () => {
  it('are made once, and closed', async () => {
    const made = net();
    ready.mockResolvedValue(made);
    const networks = swapNetworks();
    for (let i = 0; i < 2; i++) await networks.embedder(async (each) => expect(each).toBe(made));
    expect(ready).toHaveBeenCalledTimes(1);
    await networks.close();
    expect(made.close).toHaveBeenCalledTimes(1);
  });

  it('are made anew after a failure', async () => {
    ready.mockRejectedValueOnce(new Error('no memory')).mockResolvedValueOnce(net());
    const networks = swapNetworks();
    await expect(networks.generator(async () => {})).rejects.toThrow('no memory');
    expect(await networks.generator(async () => 'made')).toBe('made');
    await networks.close();
  });

  it('are all closed, whatever becomes of one', async () => {
    const [embedder, generator] = [net(), net()];
    ready.mockRejectedValueOnce(new Error('no memory')).mockResolvedValueOnce(generator);
    const networks = swapNetworks();
    const failing = expect(networks.embedder(async () => {})).rejects.toThrow('no memory');
    await networks.generator(async () => {});
    await networks.close();
    await failing;
    expect(generator.close).toHaveBeenCalledTimes(1);

    embedder.close.mockRejectedValueOnce(new Error('stuck'));
    ready.mockResolvedValueOnce(embedder).mockResolvedValueOnce(generator);
    await networks.embedder(async () => {});
    await networks.generator(async () => {});
    await expect(networks.close()).rejects.toThrow('stuck');
    expect(generator.close).toHaveBeenCalledTimes(2);
  });
});
