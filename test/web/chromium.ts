import type { Browser, Page } from 'playwright-core';
import { launchChromium } from '../../scripts/lib/chromium.mjs';
import { startSite } from './site.js';

/** A browser with a page, and the site of the tests for it to open. */
export interface Chromium {
  readonly site: Awaited<ReturnType<typeof startSite>>;
  readonly browser: Browser;
  readonly page: Page;
  close(): Promise<void>;
}

export async function startChromium(): Promise<Chromium> {
  const site = await startSite();
  const browser = await launchChromium();
  const page = await browser.newPage();
  const close = async () => {
    await browser.close();
    await site.close();
  };
  return { site, browser, page, close };
}
