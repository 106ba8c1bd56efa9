import { homedir } from 'node:os';
import { join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

interface Place {
  readonly variable: string;
  readonly xdg: string;
  /** Below the home folder, where the variables are not set: on Linux and others, on macOS, on Windows. */
  readonly home: Readonly<Record<'linux' | 'darwin' | 'win32', readonly string[]>>;
  /** Windows' variable for the folder. */
  readonly windows: string;
}

const CACHE: Place = {
  variable: 'GHOSTKIT_CACHE',
  xdg: 'XDG_CACHE_HOME',
  home: {
    linux: ['.cache', 'ghostkit'],
    darwin: ['Library', 'Caches', 'ghostkit'],
    win32: ['AppData', 'Local', 'ghostkit', 'cache'],
  },
  windows: 'LOCALAPPDATA',
};

const CONFIG: Place = {
  variable: 'GHOSTKIT_CONFIG',
  xdg: 'XDG_CONFIG_HOME',
  home: {
    linux: ['.config', 'ghostkit'],
    darwin: ['Library', 'Application Support', 'ghostkit'],
    win32: ['AppData', 'Roaming', 'ghostkit'],
  },
  windows: 'APPDATA',
};

function folder({ variable, xdg, home, windows }: Place, env: Environment, platform: string): string {
  if (env[variable]) return env[variable];
  if (env[xdg]) return join(env[xdg], 'ghostkit');
  if (platform === 'win32' && env[windows]) return join(env[windows], ...home.win32.slice(2));
  return join(homedir(), ...(platform === 'darwin' || platform === 'win32' ? home[platform] : home.linux));
}

/** Where what was downloaded is kept: `GHOSTKIT_CACHE`, else `ghostkit` in the system's folder for caches (XDG's on Linux). */
export function cacheFolder(env: Environment = process.env, platform: string = process.platform): string {
  return folder(CACHE, env, platform);
}

/** Where settings are kept: `GHOSTKIT_CONFIG`, else `ghostkit` in the system's folder for them (XDG's on Linux). */
export function configFolder(env: Environment = process.env, platform: string = process.platform): string {
  return folder(CONFIG, env, platform);
}
