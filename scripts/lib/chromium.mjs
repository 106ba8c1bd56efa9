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
export const chromiumFlags = ['--no-sandbox', '--disable-dev-shm-usage'];

/** Starts a headless Chromium. */
export async function launchChromium() {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath: findChromium(), args: chromiumFlags });
}
