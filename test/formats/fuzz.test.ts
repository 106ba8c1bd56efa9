import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import * as checkpoint from '../../src/formats/checkpoint.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { fuzzCase, loadBases, tryCase } from '../support/fuzz-cases.mjs';

it('every damaged checkpoint ends in tensors or in an error of one line', async () => {
  const { small } = loadBases(fileURLToPath(new URL('../../../shared/checkpoints', import.meta.url)));
  const wrong: string[] = [];
  let read = 0;
  for (let index = 0; index < 1000; index++) {
    const result = await tryCase({ ...checkpoint, GhostkitError }, fuzzCase(7, index, { small, large: [] }), index);
    if (result.wrong) wrong.push(`case ${index}: ${result.wrong}`);
    if (result.read) read++;
  }
  expect(wrong).toEqual([]);
  // Cases that all fail at the first byte would test nothing.
  expect(read).toBeGreaterThan(50);
});
