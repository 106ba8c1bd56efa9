import { readdirSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { checkSize, type FileKind, readPart, withRegular } from '../formats/files.js';
import { messageOf, printable } from '../formats/text.js';
import { withPath } from '../formats/with-path.js';
import { GhostkitError } from '../tensor/error.js';
import type { Records } from './dataset.js';
import { IMAGE_EXTENSIONS } from './image.js';

/** A file of a data set, in a folder or in an archive. */
export interface Entry {
  /** Relative to the data set, with `/` between the parts. */
  readonly path: string;
  /** The file on the disk that holds it. */
  readonly file: string;
  /** Where it lies in that file, in bytes; 0 and all of it when the file is the entry. */
  readonly offset: number;
  readonly size: number;
}

/** What a data set consists of. */
export interface Listing {
  /** How messages call the data set. */
  readonly name: string;
  readonly entries: readonly Entry[];
  /** The folders, empty ones included. */
  readonly folders: readonly string[];
  /** Whether each entry is a file of its own. */
  readonly separate: boolean;
  /** Links that lead out of the folder, or nowhere: not followed. */
  readonly skippedLinks: readonly string[];
}

/** Names that no data set means: hidden files, and what macOS adds to archives. */
export function isIgnored(name: string): boolean {
  return name.startsWith('.') || name === '__MACOSX';
}

const PICTURE = new RegExp(`\\.(${IMAGE_EXTENSIONS.join('|')})$`, 'i');

/** Whether a file is named like a picture. */
export const isPicture = (path: string): boolean => PICTURE.test(path);

/** Names in the order of their characters' numbers, whatever the language: classes are numbered as Python's `sorted` would. */
export function inOrder(names: Iterable<string>): string[] {
  return [...names].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Entries in the order of their paths: a folder and the archive of it give the same. */
export function byPath(entries: Iterable<Entry>): Entry[] {
  return [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** Reads an entry, which has `size` bytes. What is thrown begins with its path. */
export function withEntry<T>(
  { path, file, offset, size: part }: Entry,
  kind: FileKind,
  use: (size: number, read: (at: number, length: number) => Uint8Array) => T,
): T {
  return withRegular(file, ({ descriptor, size: whole }) => {
    const size = part < 0 ? whole : part;
    const read = (at: number, length: number) => {
      const bytes = readPart(descriptor, offset + at, length);
      if (bytes.length < length) throw new GhostkitError('it became shorter while it was read');
      return bytes;
    };
    const make = () => {
      checkSize(size, kind);
      return use(size, read);
    };
    return part < 0 ? make() : withPath(path, make);
  });
}

/** Everything in a folder and its folders. Links are followed only to what lies in the same folder. */
export function listFolder(root: string): Listing {
  const entries: Entry[] = [];
  const folders: string[] = [];
  const skippedLinks: string[] = [];
  const realRoot = realpathSync(root);
  /** Folders that are being listed, so that links cannot lead in a circle. */
  const above = new Set<string>();

  const visit = (folder: string, prefix: string) => {
    const real = realpathSync(folder);
    if (above.has(real)) return;
    above.add(real);
    const found = readdirSync(folder, { withFileTypes: true });
    const types = new Map(found.map((entry) => [entry.name, entry]));
    for (const name of inOrder(types.keys())) {
      if (isIgnored(name)) continue;
      const path = prefix + name;
      const full = join(folder, name);
      let kind: { isFile(): boolean; isDirectory(): boolean } = types.get(name) as (typeof found)[number];
      if (types.get(name)?.isSymbolicLink()) {
        const target = linkTarget(full);
        if (target !== realRoot && !target?.startsWith(realRoot + sep)) {
          skippedLinks.push(path);
          continue;
        }
        kind = statSync(target);
      }
      if (kind.isDirectory()) {
        folders.push(path);
        visit(full, `${path}/`);
      } else if (kind.isFile()) {
        entries.push({ path, file: full, offset: 0, size: -1 });
      }
    }
    above.delete(real);
  };

  try {
    visit(root, '');
  } catch (error) {
    throw new GhostkitError(`${printable(root, 500)}: ${messageOf(error)}`, { cause: error });
  }
  return { name: root, entries: byPath(entries), folders, separate: true, skippedLinks };
}

function linkTarget(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** A file with the number of its class. */
export interface Labelled {
  readonly entry: Entry;
  readonly label: number;
}

/** The records of files with their classes. */
export function recordsOf(listing: Listing, classes: readonly string[], pictures: readonly Labelled[]): Records {
  const labels = Int32Array.from(pictures, ({ label }) => label);
  const names = pictures.map(({ entry }) => entry.path);
  const common = { classes, labels, names, encoding: 'encoded' } as const;
  if (listing.separate) return { ...common, files: pictures.map(({ entry }) => entry.file) };
  const files = [...new Set(pictures.map(({ entry }) => entry.file))];
  const number = new Map(files.map((file, i) => [file, i]));
  return {
    ...common,
    files,
    parts: {
      file: Int32Array.from(pictures, ({ entry }) => number.get(entry.file) as number),
      offset: Float64Array.from(pictures, ({ entry }) => entry.offset),
      size: Float64Array.from(pictures, ({ entry }) => entry.size),
    },
  };
}
