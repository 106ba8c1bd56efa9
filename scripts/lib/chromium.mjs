import { existsSync } from 'node:fs';

/** Where Linux distributions put it; GHOSTKIT_CHROMIUM goes before. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The path of a Chromium, or undefined where there is none. */
export function findChromium() {
  const asked = process.env.GHOSTKIT_CHROMIUM;
  if (asked) return existsSync(asked) ? asked : undefined;
  return PLACES.find((path) => existsSync(path));
}

/** Why no browser can be started here, or undefined where one can. */
export async function whyNoBrowser() {
  if (!findChromium()) return 'there is no Chromium here; install it or say where it is with GHOSTKIT_CHROMIUM';
  try {
    await import('playwright-core');
  } catch {
    return 'playwright-core is not installed';
  }
  return undefined;
}

// Without its sandbox, which a container's root user cannot have: it only sees pages of this machine.
const settings = () => ({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-dev-shm-usage'] });

/** Which one runs, for a person: the headless shell is the one that has nothing but pages. */
export function versionOf(context) {
  return `Chromium ${context.browser()?.version()}${findChromium()?.endsWith('headless-shell') ? ', headless shell' : ''}`;
}

/** Starts a headless Chromium. */
export async function launchChromium() {
  const { chromium } = await import('playwright-core');
  return chromium.launch(settings());
}

/** Starts one with its cache in a folder, as a person's has: a context to open pages in. */
export async function launchChromiumWithCache(folder) {
  const { chromium } = await import('playwright-core');
  return chromium.launchPersistentContext(folder, settings());
}
