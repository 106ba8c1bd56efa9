import { listModels } from '../../dist/models/registry.js';

const FAMILIES = { ghostnet: 'GhostNet', repghostnet: 'RepGhostNet', mobilenetv3: 'MobileNetV3' };

/** The networks whose accuracy a paper tells: every width of both families, and the baseline. */
export function networksOfPapers() {
  return listModels()
    .filter(({ paper }) => paper)
    .map(({ name, family, width, paper }) => ({
      name,
      family: FAMILIES[family],
      label: family === 'mobilenetv3' ? name.split('_')[1] : `${width}x`,
      top1: paper.top1,
      source: paper.source,
    }));
}
