import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Shape } from '../../src/tensor/tensor.js';

/** Golden outputs and sample checkpoints lie beside the repository; where they do not, their tests are skipped and say so. */
const folder = fileURLToPath(new URL('../../../shared/', import.meta.url));

export const hasShared = existsSync(folder);
if (!hasShared) console.warn(`skipped: no golden outputs and sample checkpoints at ${folder}`);

export const sharedPath = (path: string): string => folder + path;

export interface GoldenOutput {
  shape: Shape;
  absMax: number;
  indices?: number[];
  values: number[];
}

export interface Golden {
  model: 'GhostNet' | 'RepGhostNet';
  variant?: string;
  config: { width: number; numClasses: number };
  input: { name: string; shape: Shape };
  macs: number;
  parameters: number;
  deploy?: { macs: number; parameters: number };
  outputs: Record<string, GoldenOutput>;
}

export function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(sharedPath(`golden/${name}.json`), 'utf8'));
}
