import { loadState } from '../../formats/load-state.js';
import { messageOf, printable } from '../../formats/text.js';
import { readTfjsWeights, tfjsShards } from '../../formats/tfjs.js';
import type { Module } from '../../nn/module.js';
import { GhostkitError } from '../../tensor/error.js';
import { FaceLandmarks68, stateOfTfjs, TinyFaceDetector } from './networks.js';

/** The npm package that the weights come with; MIT licence. */
const PACKAGE = '@vladmandic/face-api';

/** Gives the bytes of a file of the weights' folder by its name. */
export type ReadWeightFile = (name: string) => Promise<Uint8Array>;

/** The two networks with their weights. */
export interface FaceNetworks {
  readonly detector: TinyFaceDetector;
  readonly landmarks: FaceLandmarks68;
}

/** Reads from the `model` folder of the installed package. */
const fromPackage: ReadWeightFile = async (name) => {
  // Here, so that a page which brings its own reader can load this file.
  const [{ readFile }, { createRequire }] = await Promise.all([import('node:fs/promises'), import('node:module')]);
  let path: string;
  try {
    path = createRequire(import.meta.url).resolve(`${PACKAGE}/model/${name}`);
  } catch (error) {
    throw new GhostkitError(`face detection needs the weights in ${PACKAGE}; run npm install ${PACKAGE}`, {
      cause: error,
    });
  }
  try {
    return await readFile(path);
  } catch (error) {
    throw new GhostkitError(`${printable(path, 500)}: ${messageOf(error)}`, { cause: error });
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
 * @param read Where the files come from; by default the installed package `@vladmandic/face-api`.
 * @throws GhostkitError when the package is not installed, or a file is damaged or does not fit.
 */
export async function loadFaceNetworks(read: ReadWeightFile = fromPackage): Promise<FaceNetworks> {
  const [detector, landmarks] = await Promise.all([
    load(new TinyFaceDetector(), 'tiny_face_detector_model', read),
    load(new FaceLandmarks68(), 'face_landmark_68_model', read),
  ]);
  return { detector, landmarks };
}
