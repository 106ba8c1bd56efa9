import { deploy } from '../graph/passes/deploy.js';
import { createModel, listModels, type ModelEntry } from '../models/registry.js';
import { graphStats, type ModelStats } from '../models/stats.js';
import { trace } from '../nn/trace.js';
import { sizeOf } from '../tensor/tensor.js';
import { type CommandFactory, type CommonOptions, command } from './command.js';
import { formatCount, formatTable, printJson, styleFor } from './output.js';

/** The size and cost of a registered model in both forms, for one picture of 224x224. */
export function sizesOf(entry: ModelEntry): Record<'training' | 'deploy', ModelStats> {
  const model = createModel(entry.name);
  // Neither depends on the weights, and making them would take most of the time.
  for (const [, parameter] of model.namedParameters()) parameter.data = new Float32Array(sizeOf(parameter.shape));
  const graph = trace(model, { input: [1, 3, 224, 224] });
  return { training: graphStats(graph), deploy: graphStats(deploy(graph)) };
}

export const modelsCommand: CommandFactory = (io) =>
  command('models', 'list the networks and what they cost', ['models', 'models --json']).action(
    ({ json }: CommonOptions) => {
      const models = listModels().map((entry) => ({ ...entry, ...sizesOf(entry) }));
      if (json) {
        printJson(
          io,
          models.map(({ name, family, width, aliases, paper, training, deploy }) => {
            return { name, family, width, aliases, training, deploy, paper };
          }),
        );
        return;
      }
      const style = styleFor(io.out);
      const right = (title: string) => ({ title, align: 'right' }) as const;
      const columns = [
        { title: 'model' },
        right('parameters'),
        right('deploy form'),
        right('MACs'),
        right('top-1'),
        right('top-5'),
      ];
      const rows = models.map(({ name, training, deploy, paper }) => [
        name,
        formatCount(training.parameters),
        formatCount(deploy.parameters),
        formatCount(deploy.macs),
        paper ? paper.top1.toFixed(1) : '',
        paper?.top5 ? paper.top5.toFixed(1) : '',
      ]);
      io.out.write(formatTable(columns, rows, style));
      const note =
        'MACs of one 224x224 picture, the same in both forms. Top-1 and top-5 accuracy on\nImageNet in percent, as the papers report them.';
      io.out.write(`\n${note.replace(/^.*$/gm, (line) => style('dim', line))}\n`);
    },
  );
