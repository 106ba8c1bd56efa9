import { statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/classify/model-source.js';
import { preprocessingIn } from '../../src/data/preprocessing.js';
import { SHIPPED_WEIGHTS } from '../../src/hub/shipped.js';

describe('the weights that come with the package', () => {
  it('are small, say what they are, and can be trained on', async () => {
    expect(statSync(SHIPPED_WEIGHTS).size).toBeLessThanOrEqual(3_000_000);
    const { entry, options, form, labels, checkpoint } = await loadModel(SHIPPED_WEIGHTS);
    expect([entry.name, options.stemStride, form]).toEqual(['repghostnet_050', 1, 'training']);
    expect(new Set(labels).size).toBe(200);
    expect(labels).toContain('Arabian camel, dromedary, Camelus dromedarius');
    expect(preprocessingIn(checkpoint.metadata)?.size).toBe(64);
  });
});
