import { turnOf } from '../lib/turn.mjs';

/**
 * What every runtime's worker does: `create` makes the network ready and returns what runs it; turns are then asked for.
 *
 * @param {(config: any) => Promise<{ run(): Float32Array | Promise<Float32Array>, facts?: object }>} create
 */
export function serveRuntime(create) {
  let net;
  const asks = {
    async create(config) {
      net = await create(config);
      return { logits: Float32Array.from(await net.run()), ...net.facts };
    },
    turn: ({ ms }) => turnOf(net.run, ms),
  };
  self.onmessage = async ({ data: { ask, value } }) => {
    try {
      self.postMessage({ answer: await asks[ask](value) });
    } catch (error) {
      self.postMessage({ error: String(error?.stack ?? error) });
    }
  };
}
