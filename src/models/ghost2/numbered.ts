import { type Module, Network } from '../../nn/module.js';

/**
 * Modules by their numbers, for the original's sequences of which only some have parameters: the numbers are part of the state names,
 * what stands between is written where it is computed.
 */
export class Numbered extends Network {
  constructor(modules: Readonly<Record<number, Module>>) {
    super();
    Object.assign(this, modules);
  }
}
