import type { Page } from 'playwright-core';
import type * as web from '../../src/web.js';

type Web = typeof web;

/** What the pages of the tests put where the tests find it. */
declare global {
  var ghostkit: Web;
}

/** How a page gets at ghostkit, by the folder it is served in. */
export const plainPage = (prefix: string) =>
  `<!doctype html><title>test</title><script type="module">import * as ghostkit from '${prefix}/ghostkit/runtime/web.js'; globalThis.ghostkit = ghostkit;</script>`;

/** Opens a page and waits for ghostkit in it. */
export async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.waitForFunction(() => 'ghostkit' in globalThis);
}

export interface Ask {
  readonly model: string;
  readonly picture: string;
  readonly worker?: boolean;
  readonly threads?: number;
  readonly relaxed?: boolean;
  readonly cache?: boolean;
}

/** Loads a model in a page, classifies a picture, and returns all there is to compare. */
export function ask(page: Page, options: Ask) {
  return page.evaluate(async ({ model: url, picture, ...rest }) => {
    const progress: { loaded: number; total: number }[] = [];
    const model = await globalThis.ghostkit.load(url, { ...rest, onProgress: (now) => progress.push(now) });
    const image = new Image();
    image.src = picture;
    await image.decode();
    const top = await model.classify(image);
    const tensor = await globalThis.ghostkit.toTensor(image, model.preprocessing);
    const { logits } = await model.run(tensor);
    const { variant, threads, labels, timing } = model;
    model.close();
    return { top, logits: [...logits.data], progress, variant, threads, labels, timing, isolated: crossOriginIsolated };
  }, options);
}

/** The message of the error that loading a model ends with. */
export function failure(
  page: Page,
  url: string,
  options: { worker?: boolean; threads?: number; cache?: boolean } = {},
) {
  return page.evaluate(
    async ({ url, options }) => {
      try {
        (await globalThis.ghostkit.load(url, options)).close();
        return 'no error';
      } catch (error) {
        return error instanceof globalThis.ghostkit.GhostkitError ? error.message : `unexpected: ${error}`;
      }
    },
    { url, options },
  );
}
