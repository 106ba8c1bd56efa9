import { findModel, type ModelEntry } from '../models/registry.js';
import { GhostkitError } from '../tensor/error.js';

/** An entry for a name given by a person; the error of an unknown one says where the known ones are listed. */
export function entryFor(name: string): ModelEntry {
  try {
    return findModel(name);
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(error.message.replace('see listModels()', 'ghostkit models lists them'));
  }
}

export function isModelName(name: string): boolean {
  try {
    findModel(name);
    return true;
  } catch {
    return false;
  }
}
