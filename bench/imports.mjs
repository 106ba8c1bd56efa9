import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readOnnx } from '../dist/models/read-onnx.js';
import { compile } from '../dist/nn/compile.js';
import { python, torchVersion } from './lib/children.mjs';
import { filtered, positive, UsageError } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';

export const summary = "networks of timm as PyTorch's two exporters write them, imported and beside onnxruntime";

const EXPORTERS = ['torchscript', 'dynamo'];

/** One of each family of convolutional classifiers. */
const NETWORKS = [
  ...[
    'ghostnet_100',
    'ghostnetv2_100',
    'ghostnetv3_100',
    'repghostnet_100',
    'mobilenetv2_100',
    'mobilenetv3_large_100',
  ],
  ...['mobilenetv4_conv_small', 'mobileone_s0', 'efficientnet_b0', 'tf_efficientnet_b0', 'tf_efficientnetv2_b0'],
  ...['efficientnet_lite0', 'mnasnet_100', 'fbnetc_100', 'mixnet_s', 'rexnet_100', 'tinynet_e', 'lcnet_050'],
  ...['hardcorenas_a', 'regnetx_002', 'regnety_002', 'resnet18', 'resnet50', 'resnet50d', 'resnext50_32x4d'],
  ...['seresnet50', 'ecaresnet26t', 'skresnet18', 'resnest14d', 'res2net50_26w_4s', 'resnetv2_50', 'nf_resnet26'],
  ...[
    'nfnet_l0',
    'gernet_s',
    'tresnet_m',
    'selecsls42b',
    'dla34',
    'dpn68',
    'hrnet_w18_small',
    'densenet121',
    'rdnet_tiny',
  ],
  ...['inception_v3', 'inception_v4', 'xception41', 'cspresnet50', 'darknet53', 'ese_vovnet19b_dw', 'hgnetv2_b0'],
  ...[
    'repvgg_a0',
    'repvit_m0_9',
    'starnet_s1',
    'fastvit_t8',
    'convnext_atto',
    'convnextv2_atto',
    'inception_next_atto',
  ],
  ...['poolformer_s12', 'mambaout_femto', 'focalnet_tiny_srf', 'swiftformer_xs', 'visformer_tiny'],
];

/** Networks that are made for one size of picture. */
const SIZES = { inception_v3: 299, focalnet_tiny_srf: 224, swiftformer_xs: 224, visformer_tiny: 224 };

export const options = {
  networks: { type: 'string', hint: 'A,B', description: 'names in timm (default: one of each family)' },
  filter: { type: 'string', hint: 'TEXT', description: 'only networks whose name contains this; commas for several' },
  exporters: { type: 'string', hint: 'A,B', default: EXPORTERS.join(), description: "PyTorch's exporters" },
  size: { type: 'string', hint: 'N', default: '128', description: 'height and width of the picture' },
};

const script = fileURLToPath(new URL('imports/export.py', import.meta.url));

export async function run(values, log) {
  const networks = filtered(values.networks?.split(',') ?? NETWORKS, values.filter, (name) => name);
  const exporters = values.exporters.split(',');
  const unknown = exporters.find((name) => !EXPORTERS.includes(name));
  if (unknown) throw new UsageError(`--exporters ${unknown}: one of ${EXPORTERS.join(', ')}`);
  const size = positive(values, 'size');
  if (!(await torchVersion())) {
    throw new UsageError(
      `${python} has no torch (GHOSTKIT_PYTHON names another Python, with torch, timm, onnx and onnxscript)`,
    );
  }
  await ensurePeers(log);
  const { createOrt, loadOrtNode } = await import('./peers/ort.mjs');
  const ort = await loadOrtNode();
  const open = (model, shape) => createOrt(ort, model, { provider: 'cpu', threads: 1, shape });
  const folder = await mkdtemp(join(tmpdir(), 'ghostkit-imports-'));
  const rows = [];
  try {
    for (const network of networks) {
      for (const exporter of exporters) {
        const row = await imported(open, {
          network,
          exporter,
          size: SIZES[network] ?? size,
          path: join(folder, 'network.onnx'),
        });
        rows.push(row);
        log(`${network} (${exporter}): ${row.refused ?? `off by ${row.error}`}`);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return rows;
}

/** A network's row: how far its logits are from onnxruntime's, in training and in deploy form, against the largest; or why it was refused. */
async function imported(open, { network, exporter, size, path }) {
  const row = { network, exporter, size };
  let versions;
  try {
    const { stdout } = await promisify(execFile)(python, [script, network, exporter, String(size), path], {
      maxBuffer: 2 ** 28,
    });
    versions = JSON.parse(stdout);
  } catch (error) {
    return { ...row, refused: `not exported: ${lastLine(error.stderr ?? error.message)}` };
  }
  const data = Float32Array.from({ length: 3 * size * size }, (_, i) => 2 * Math.sin(i * 0.37) * Math.cos(i * 0.0113));
  const session = await open(await readFile(path), [1, 3, size, size]);
  const wanted = await session.run(data);
  const most = wanted.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  await session.close();
  try {
    const model = await readOnnx(path);
    const errors = [];
    for (const deploy of [false, true]) {
      const net = await compile(model, { input: model.input, deploy });
      const got = net.run({ image: data }).logits.data;
      errors.push(wanted.reduce((e, v, i) => Math.max(e, Math.abs(v - got[i])), 0) / most);
      net.close();
    }
    return { ...row, error: Number(Math.max(...errors).toExponential(1)), ...versions };
  } catch (error) {
    if (error.name !== 'GhostkitError') throw error;
    return { ...row, refused: error.message.replace(`${path}: `, ''), ...versions };
  }
}

const lastLine = (text) => text.trim().split('\n').at(-1).slice(0, 200);
