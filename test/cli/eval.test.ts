import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { matchClasses } from '../../src/cli/eval.js';
import { writeShapes } from '../support/shapes.js';
import { failure, writeBroken } from './run.js';

describe('the classes of a data set and of a model', () => {
  it('are matched by name, wherever they stand', () => {
    expect(matchClasses(['a', 'b'], ['a', 'b'], 2)).toBeUndefined();
    expect(matchClasses(['b', 'c'], ['c', 'a', 'b'], 3)).toEqual(Int32Array.of(2, 0));
  });

  it('are taken in order where no name is known, as of the folders of ImageNet', () => {
    expect(matchClasses(['n01440764', 'n01443537'], ['tench', 'goldfish'], 2)).toBeUndefined();
    expect(matchClasses(['a', 'b'], undefined, 2)).toBeUndefined();
    // Two classes of one name are no reason to look them up.
    expect(matchClasses(['crane', 'crane'], ['crane', 'crane'], 2)).toBeUndefined();
  });

  it('are refused where they do not fit', () => {
    expect(() => matchClasses(['a', 'x'], ['a', 'b'], 2)).toThrow(
      'the model does not know x; the folders of the data need the names of its classes',
    );
    // As many as the model has, under names of another language: their order says nothing.
    expect(() => matchClasses(['Hund', 'Katze'], ['cat', 'dog'], 2)).toThrow('the model does not know Hund, Katze;');
    expect(() => matchClasses(['a', 'b', 'c'], undefined, 2)).toThrow(
      'the data has 3 classes, the model 2 without names',
    );
  });
});

describe('a network that gives no numbers', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY])('has no accuracy, as with %d in its weights', async (value) => {
    const folder = await mkdtemp(join(tmpdir(), 'ghostkit-eval-'));
    try {
      await writeShapes(join(folder, 'shapes'), 2);
      const weights = await writeBroken(join(folder, 'broken.safetensors'), 'repghostnet_050', value, { classes: 3 });
      const args = [join(folder, 'shapes'), '--weights', weights, '--size', '32', '--threads', '1', '--workers', '0'];
      for (const more of [[], ['--json']]) {
        expect(await failure(1, 'eval', ...args, ...more)).toBe(
          `${weights}: the network gives no numbers (NaN or infinity) for 6 of 6 pictures; its weights may be damaged`,
        );
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
