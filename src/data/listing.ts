import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileReason } from '../formats/file-reason.js';
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

/** Folders that a file may lie in, one in the other. Data sets have a few, and what looks through them does so for each. */
const MAX_DEPTH = 64;

/** Throws a {@link GhostkitError} when a path in a data set is deeper than any is. */
export function checkDepth(path: string): void {
  let folders = 0;
  for (let i = path.indexOf('/'); i >= 0; i = path.indexOf('/', i + 1)) {
    if (++folders > MAX_DEPTH)
      throw new GhostkitError(`there are more than ${MAX_DEPTH} folders in ${printable(path)}`);
  }
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

/**
 * How often a folder may be listed, under its own name and by links to it. Two links in each of thirty folders to the next one would otherwise list
 * the last a thousand million times.
 */
export const MAX_LISTED = 16;

/** The entries of a folder in the order of their names. Those that matter need names that can be told in text. */
function entriesOf(folder: string, path: string): Dirent[] {
  const found = readdirSync(folder, { withFileTypes: true }).filter(({ name }) => !isIgnored(name));
  for (const entry of found) {
    if (entry.name.includes('\uFFFD') && (!entry.isFile() || isPicture(entry.name)))
      checkName(folder, path, entry.name);
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** Throws a {@link GhostkitError} for a name that is not UTF-8: as it reads here, nothing can be opened. */
function checkName(folder: string, path: string, name: string): void {
  const bytes = readdirSync(folder, 'buffer').find((each) => each.toString() === name);
  if (!bytes || Buffer.from(name).equals(bytes)) return;
  const shown = bytes
    .toString('latin1')
    .replace(/[^ -~]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
  throw new GhostkitError(`the name ${printable(path + shown)} is not UTF-8; rename it`);
}

/**
 * Everything in a folder and its folders. Links are followed to what lies in the same folder, and to the rest of the disk only if `outside` says so.
 *
 * @throws GhostkitError that begins with the path.
 */
export function listFolder(root: string, { outside = false }: { readonly outside?: boolean } = {}): Listing {
  const entries: Entry[] = [];
  const folders: string[] = [];
  const skippedLinks: string[] = [];
  /** Folders that are being listed, so that links cannot lead in a circle. */
  const above = new Set<string>();
  const listed = new Map<string, number>();

  const visit = (realRoot: string, folder: string, prefix: string) => {
    const real = realpathSync(folder);
    if (above.has(real)) return;
    checkDepth(prefix);
    const times = (listed.get(real) ?? 0) + 1;
    if (times > MAX_LISTED)
      throw new GhostkitError(
        `links lead to one folder in more than ${MAX_LISTED} ways, at last as ${printable(prefix)}`,
      );
    listed.set(real, times);
    above.add(real);
    for (const entry of entriesOf(folder, prefix)) {
      const path = prefix + entry.name;
      const full = join(folder, entry.name);
      let kind: { isFile(): boolean; isDirectory(): boolean } = entry;
      if (entry.isSymbolicLink()) {
        const target = linkTarget(full);
        if (target === undefined || !(outside || target === realRoot || target.startsWith(realRoot + sep))) {
          skippedLinks.push(path);
          continue;
        }
        kind = statSync(target);
      }
      if (kind.isDirectory()) {
        folders.push(path);
        visit(realRoot, full, `${path}/`);
      } else if (kind.isFile()) {
        entries.push({ path, file: full, offset: 0, size: -1 });
      }
    }
    above.delete(real);
  };

  return withPath(root, () => {
    try {
      visit(realpathSync(root), root, '');
    } catch (error) {
      if (error instanceof GhostkitError) throw error;
      // Of what lies deeper the system's words tell the path.
      const reason = (error as NodeJS.ErrnoException).path === root ? fileReason(error) : messageOf(error);
      throw new GhostkitError(reason, { cause: error });
    }
    return { name: root, entries: byPath(entries), folders, separate: true, skippedLinks };
  });
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
