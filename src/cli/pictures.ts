import { readdir, realpath } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { IMAGE_EXTENSIONS } from '../data/image.js';
import { MAX_LISTED } from '../data/listing.js';
import { printable } from '../formats/text.js';

/** A file to look at, or an argument that stands for none and why. */
export interface Picture {
  readonly path: string;
  readonly error?: string;
}

const inOrder = (paths: string[]) => paths.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));

/** How folders are read for a glob: as by `readdir`, but one that links lead to in very many ways is empty after some of them. */
function boundedReaddir(): typeof readdir {
  const listed = new Map<string, number>();
  const bounded = (path: string, options: object, done: (error: Error | null, entries: unknown[]) => void) => {
    realpath(path, (error, real) => {
      const times = (listed.get(real) ?? 0) + 1;
      listed.set(real, times);
      if (error || times > MAX_LISTED) done(error, []);
      else readdir(path, { ...options, withFileTypes: true }, done);
    });
  };
  return bounded as unknown as typeof readdir;
}

async function expandOne(argument: string): Promise<Picture[]> {
  const found = await stat(argument).catch(() => undefined);
  if (found?.isDirectory()) {
    const names = await glob(`*.{${IMAGE_EXTENSIONS.join(',')}}`, { cwd: argument, caseSensitiveMatch: false });
    if (names.length === 0)
      return [{ path: argument, error: `${printable(argument, 500)}: there is no picture in this folder` }];
    return inOrder(names).map((name) => ({ path: join(argument, name) }));
  }
  // A file that is there is meant, whatever its name looks like; one that is not is reported when it is read.
  if (found || !isDynamicPattern(argument)) return [{ path: argument }];
  const pattern = sep === '\\' ? argument.replaceAll('\\', '/') : argument;
  const paths = await glob(pattern, {
    absolute: isAbsolute(argument),
    expandDirectories: false,
    fs: { readdir: boundedReaddir() },
  });
  if (paths.length === 0) return [{ path: argument, error: `${printable(argument, 500)}: no file matches` }];
  return inOrder(paths).map((path) => ({ path }));
}

/** The files that arguments stand for: paths, globs that the shell left alone, and folders for the pictures in them. */
export async function expandPictures(args: readonly string[]): Promise<Picture[]> {
  const pictures = (await Promise.all(args.map(expandOne))).flat();
  return [...new Map(pictures.map((picture) => [picture.path, picture])).values()];
}
