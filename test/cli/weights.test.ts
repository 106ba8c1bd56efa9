import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeSafetensors } from '../../src/formats/safetensors.js';
import { cacheFolder, configFolder } from '../../src/hub/folders.js';
import { expandWeights, WEIGHTS } from '../../src/hub/manifest.js';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { createModel, listModels } from '../../src/models/registry.js';
import { findOnnxRuntime } from '../../src/runtime/onnx/onnxruntime.js';
import { content, sha256, startServer, type TestServer } from '../hub/server.js';
import { encoder, pattern } from '../support/pictures.js';
import { failure, run } from './run.js';

vi.mock('../../src/runtime/onnx/onnxruntime.js', async (original) => {
  const module = await original<typeof import('../../src/runtime/onnx/onnxruntime.js')>();
  return { ...module, findOnnxRuntime: vi.fn(module.findOnnxRuntime) };
});

let server: TestServer;
let folder: string;
const at = (name: string) => join(folder, 'weights', name);
const lama = WEIGHTS.find(({ name }) => name === 'lama');

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-weights-'));
  vi.stubEnv('GHOSTKIT_CACHE', folder);
  vi.stubEnv('GHOSTKIT_MIRROR', `${server.url}/`);
  server.files.clear();
  server.requests.length = 0;
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

describe('the manifest', () => {
  it('names every file once, with an address and a licence', () => {
    for (const key of ['name', 'file'] as const) {
      expect(new Set(WEIGHTS.map((entry) => entry[key])).size).toBe(WEIGHTS.length);
    }
    for (const { name, url, licence, source, sha256: hash = '0'.repeat(64), remark } of WEIGHTS) {
      expect(licence, name).not.toBe('');
      expect(new URL(source).protocol).toBe('https:');
      expect(hash, name).toMatch(/^[0-9a-f]{64}$/);
      expect(url ? new URL(url).protocol : remark, name).toBeTruthy();
    }
  });

  it('has classifiers under the names of the networks', () => {
    const names = listModels().map(({ name }) => name);
    for (const { name, kind } of WEIGHTS) if (kind === 'classifier') expect(names).toContain(name);
  });

  it('knows groups and what else is needed', () => {
    expect(expandWeights(['repghostnet_100', 'ghostnet_100']).map(({ name }) => name)).toEqual([
      'repghostnet_100',
      'imagenet-synsets',
      'imagenet-names',
      'ghostnet_100',
    ]);
    expect(expandWeights(['swap']).length).toBeGreaterThan(3);
  });
});

describe('folders', () => {
  it('are where the system wants them', () => {
    expect(cacheFolder({ GHOSTKIT_CACHE: '/a', XDG_CACHE_HOME: '/b' }, 'linux')).toBe('/a');
    expect(cacheFolder({ XDG_CACHE_HOME: '/b' }, 'linux')).toBe(join('/b', 'ghostkit'));
    expect(cacheFolder({}, 'linux')).toMatch(/\.cache.ghostkit$/);
    expect(cacheFolder({}, 'darwin')).toMatch(/Library.Caches.ghostkit$/);
    expect(cacheFolder({ LOCALAPPDATA: '/l' }, 'win32')).toBe(join('/l', 'ghostkit', 'cache'));
    expect(configFolder({ XDG_CONFIG_HOME: '/c' }, 'linux')).toBe(join('/c', 'ghostkit'));
    expect(configFolder({ APPDATA: '/r' }, 'win32')).toBe(join('/r', 'ghostkit'));
  });
});

describe('weights', () => {
  it('lists what there is', async () => {
    const { code, out } = await run('weights', 'list');
    expect(code).toBe(0);
    expect(out).toMatch(/^lama .*Apache-2\.0 +208 MB$/m);
    expect(out).toContain('swap stands for ghost2-aligner');
    const json = JSON.parse((await run('weights', 'list', 'lama', '--json')).out);
    expect(json).toEqual([{ ...lama, path: at('lama_fp32.onnx'), state: 'absent', cachedBytes: 0 }]);
  });

  it('pulls, once, and remembers the checksum', async () => {
    const body = content(5000);
    server.files.set('/blender_lama.ckpt', { body });
    const { code, out, err } = await run('weights', 'pull', 'ghost2-blender');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toBe(
      `ghost2-blender: 5.00 kB, ${at('blender_lama.ckpt')}  (no checksum is published; the one it has now is kept for ghostkit weights verify)\n`,
    );
    expect(await readFile(at('blender_lama.ckpt.sha256'), 'utf8')).toBe(`${sha256(body)}  blender_lama.ckpt\n`);
    expect((await run('weights', 'pull', 'ghost2-blender')).out).toBe(
      `ghost2-blender: is there, ${at('blender_lama.ckpt')}\n`,
    );
    expect(server.requests).toHaveLength(1);
    expect((await run('weights', 'verify')).out).toBe('ghost2-blender: right\n');
    await run('weights', 'pull', 'ghost2-blender', '--force');
    expect(server.requests).toHaveLength(2);
  });

  it('notices a file that has changed', async () => {
    server.files.set('/blender_lama.ckpt', { body: content(5000) });
    await run('weights', 'pull', 'ghost2-blender');
    await writeFile(at('blender_lama.ckpt'), 'something else');
    const { code, out } = await run('weights', 'verify', 'ghost2-blender');
    expect(code).toBe(1);
    expect(out).toContain('ghost2-blender: wrong, it is not the file that was downloaded (SHA-256 ');
    expect(out).toContain('ghostkit weights pull ghost2-blender --force gets it anew');
  });

  it('tells an interrupted download from none', async () => {
    server.files.set('/blender_lama.ckpt', { body: content(50_000), etag: '"a"', cutAfter: 20_000 });
    expect(await failure(1, 'weights', 'pull', 'ghost2-blender')).toBe(
      'ghost2-blender: interrupted after 20000 bytes of 50000 bytes (the connection was cut); run it again to go on',
    );
    expect((await run('weights', 'list', 'ghost2-blender')).out).toContain('20.0 kB, unfinished');
    const { code, out } = await run('weights', 'verify', 'ghost2-blender', 'lama');
    expect(code).toBe(1);
    expect(out).toContain('ghost2-blender: partial, 20000 bytes of an interrupted download');
    expect(out).toContain('lama: absent, not in the cache; ghostkit weights pull lama');
    expect((await run('weights', 'pull', 'ghost2-blender')).code).toBe(0);
  });

  it('goes on with the others when one fails', async () => {
    server.files.set('/backbone50_1.pth', { body: content(100) });
    const { code, out, err } = await run('weights', 'pull', 'lama', 'ghost2-arcface', '--json');
    expect(code).toBe(1);
    expect(err).toBe(`error: lama: ${server.url}/lama_fp32.onnx: there is no such file on the server (404)\n`);
    expect(JSON.parse(out)).toEqual([
      { name: 'lama', error: expect.stringContaining('404') },
      expect.objectContaining({ name: 'ghost2-arcface', state: 'downloaded', bytes: 100 }),
    ]);
  });

  it('says what runs an ONNX file, where that is not there', async () => {
    server.files.set('/segformer_B5_ce.onnx', { body: content(100) });
    server.files.set('/backbone50_1.pth', { body: content(100) });
    const note = 'note: no onnxruntime is found to run segformer_B5_ce.onnx; npm install onnxruntime-node\n';
    vi.mocked(findOnnxRuntime).mockResolvedValueOnce(undefined);
    const { code, out, err } = await run('weights', 'pull', 'segformer-b5', 'ghost2-arcface', '--json');
    expect({ code, err }).toEqual({ code: 0, err: note });
    expect(JSON.parse(out)).toHaveLength(2);
    // Also when it was there before, but not with a runtime, nor of other files.
    vi.mocked(findOnnxRuntime).mockResolvedValueOnce(undefined);
    expect((await run('weights', 'pull', 'segformer-b5')).err).toBe(note);
    expect((await run('weights', 'pull', 'segformer-b5')).err).toBe('');
    expect((await run('weights', 'pull', 'ghost2-arcface')).err).toBe('');
  });

  it('says that a mirror is no address', async () => {
    vi.stubEnv('GHOSTKIT_MIRROR', 'mirror.example/folder');
    expect(await failure(1, 'weights', 'pull', 'ghost2-blender')).toBe(
      'ghost2-blender: GHOSTKIT_MIRROR must be an address like https://host/folder, got mirror.example/folder',
    );
  });

  it('refuses a file that is not the published one', async () => {
    server.files.set('/imagenet_synsets.txt', { body: content(10_000) });
    expect(await failure(1, 'weights', 'pull', 'imagenet-synsets')).toMatch(
      /^imagenet-synsets: the server sent another file than the known one \(its SHA-256 is .*; it was not kept$/,
    );
  });

  it('says what cannot be pulled', async () => {
    expect(await failure(1, 'weights', 'pull', 'lamma')).toBe('unknown weights lamma; did you mean lama?');
    expect(await failure(2, 'weights', 'pull')).toContain('name what to get');
    expect(await failure(2, 'weights', 'push')).toContain('Allowed choices are list, pull, verify.');
    expect(await failure(1, 'weights', 'pull', 'stylematte')).toContain('export stylematte_synth.pth to ONNX');
  });

  it('is all that predict needs', async () => {
    const model = assignNamedWeights(createModel('repghostnet_050'));
    server.files.set('/repghostnet_050.safetensors', { body: writeSafetensors(model.state()) });
    const picture = join(folder, 'photo.png');
    await encoder(pattern(64, 64)).png().toFile(picture);
    await run('weights', 'pull', 'repghostnet_050');
    expect((await run('predict', 'repghostnet_050', picture, '--size', '64')).out).toMatch(/class \d+$/m);
    // The label files are checked against their published checksums, so a server of a test cannot stand in for them.
    await mkdir(at(''), { recursive: true });
    const synsets = Array.from({ length: 1000 }, (_, i) => `n${String(i).padStart(8, '0')}`);
    await writeFile(at('imagenet_synsets.txt'), `${synsets.join('\n')}\n`);
    await writeFile(at('imagenet_synset_to_lemma.txt'), synsets.map((id, i) => `${id}\tthing ${i}, x\n`).join(''));
    expect((await run('predict', 'repghostnet_050', picture, '--size', '64')).out).toMatch(/thing \d+, x$/m);
  });
});
