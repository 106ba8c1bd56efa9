import { loadState } from '../../formats/load-state.js';
import { readTfjsWeights, tfjsShards } from '../../formats/tfjs.js';
import type { Module } from '../../nn/module.js';
import { GhostkitError } from '../../tensor/error.js';
import { FaceLandmarks68, stateOfTfjs, TinyFaceDetector } from './networks.js';

/** The npm package that the weights are from; MIT licence. The build copies them out of it. */
const PACKAGE = '@vladmandic/face-api';

/** Gives the bytes of a file of the weights' folder by its name. */
export type ReadWeightFile = (name: string) => Promise<Uint8Array>;

/** The two networks with their weights. */
export interface FaceNetworks {
  readonly detector: TinyFaceDetector;
  readonly landmarks: FaceLandmarks68;
}

/** Reads what the build put beside this file; when it runs unbuilt, the installed package's `model` folder. */
const fromHere: ReadWeightFile = async (name) => {
  const beside = new URL(`weights/${name}`, import.meta.url);
  if (beside.protocol !== 'file:') {
    const response = await fetch(beside);
    if (!response.ok) throw new GhostkitError(`${beside}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  }
  const [{ readFile }, { createRequire }] = await Promise.all([import('node:fs/promises'), import('node:module')]);
  try {
    return await readFile(beside);
  } catch {
    try {
      return await readFile(createRequire(import.meta.url).resolve(`${PACKAGE}/model/${name}`));
    } catch (cause) {
      throw new GhostkitError(`the weights of the face detector are missing: npm install ${PACKAGE}`, { cause });
    }
  }
};

async function load<M extends Module>(model: M, name: string, read: ReadWeightFile): Promise<M> {
  const manifest = new TextDecoder().decode(await read(`${name}-weights_manifest.json`));
  try {
    const shards = await Promise.all(tfjsShards(manifest).map(async (path) => [path, await read(path)] as const));
    const state = stateOfTfjs(readTfjsWeights(manifest, new Map(shards)));
    model.assign(loadState(model.stateShapes(), state));
    return model;
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(`${name}: ${error.message}`, { cause: error });
  }
}

/**
 * The face detector and the landmark network with the weights of face-api.js, 550 kB.
 *
 * @param read Where the files come from; by default what ghostkit comes with.
 * @throws GhostkitError when a file is missing, damaged or does not fit.
 */
export async function loadFaceNetworks(read: ReadWeightFile = fromHere): Promise<FaceNetworks> {
  const [detector, landmarks] = await Promise.all([
    load(new TinyFaceDetector(), 'tiny_face_detector_model', read),
    load(new FaceLandmarks68(), 'face_landmark_68_model', read),
  ]);
  return { detector, landmarks };
}
