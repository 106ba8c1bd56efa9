import { printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import type { Records } from './dataset.js';
import { type Entry, inOrder, isPicture, type Labelled, type Listing, recordsOf } from './listing.js';

/** The parts of a data set as its makers divided it. */
export interface RecordSplits {
  readonly train: Records;
  /** What the makers held out: the validation pictures, else those for testing. */
  readonly val?: Records;
}

/** Names of the folders that hold parts of a data set, the preferred first, in small or capital letters. */
const TRAIN = ['train', 'training'];
const HELD_OUT = ['val', 'valid', 'validation', 'test', 'testing'];

/** The listing below one folder. */
export function below(listing: Listing, folder: string): Listing {
  const prefix = `${folder}/`;
  const inside = (path: string) => path.startsWith(prefix);
  return {
    ...listing,
    name: `${listing.name}/${folder}`,
    entries: listing.entries
      .filter(({ path }) => inside(path))
      .map((entry) => ({ ...entry, path: entry.path.slice(prefix.length) })),
    folders: listing.folders.filter(inside).map((path) => path.slice(prefix.length)),
    skippedLinks: listing.skippedLinks.filter(inside).map((path) => path.slice(prefix.length)),
  };
}

const topFolders = ({ folders }: Listing): string[] => inOrder(folders.filter((path) => !path.includes('/')));

/** Leaves out folders around the whole, as archives have them: `tiny-imagenet-200/train/...`. */
export function unwrapped(listing: Listing): Listing {
  const [only, another] = topFolders(listing);
  if (only === undefined || another !== undefined) return listing;
  const inner = below(listing, only);
  // Pictures beside it belong to the data; an archive or a text does not.
  const besides = listing.entries.some(({ path }) => !path.includes('/') && isPicture(path));
  // One folder of pictures is a class, not a wrapper.
  const isClass = topFolders(inner).length === 0 && inner.entries.some(({ path }) => isPicture(path));
  if (besides || isClass) return listing;
  return unwrapped(inner);
}

const topOf = (path: string): string => path.slice(0, Math.max(0, path.indexOf('/')));

/** Pictures with the folder that each lies in as its class. */
function labelled(listing: Listing, classes: readonly string[]): Labelled[] {
  const number = new Map(classes.map((name, i) => [name, i]));
  return listing.entries.flatMap((entry) => {
    const label = number.get(topOf(entry.path));
    return label === undefined || !isPicture(entry.path) ? [] : [{ entry, label }];
  });
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function describe(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => printable(name));
  return names.length > 3 ? `${shown.join(', ')} and ${names.length - 3} more` : shown.join(', ');
}

/** The pictures of class folders; `classes` are those of the training pictures when this is what was held out. */
function classFolders(listing: Listing, classes?: readonly string[]): Records {
  const name = printable(listing.name, 500);
  const folders = topFolders(listing);
  const names = classes ?? folders;
  const pictures = labelled(listing, names);
  const links = listing.skippedLinks.length;
  const note = links > 0 ? ` (${count(links, 'link')} out of the folder not followed)` : '';
  if (names.length === 0) {
    const loose = listing.entries.some(({ path }) => isPicture(path));
    const what = loose ? 'pictures, but no folders of classes around them' : 'no pictures';
    throw new GhostkitError(`${name}: ${what}; a folder for each class is needed${note}`);
  }
  const unknown = folders.filter((folder) => !names.includes(folder));
  if (unknown.length > 0)
    throw new GhostkitError(`${name}: no such class among the training pictures: ${describe(unknown)}`);
  if (!classes) {
    if (names.length === 1) {
      throw new GhostkitError(`${name}: one class only (${describe(names)}); there is nothing to tell apart${note}`);
    }
    const used = new Set(pictures.map(({ label }) => label));
    const empty = names.filter((_, i) => !used.has(i));
    if (empty.length > 0) throw new GhostkitError(`${name}: no picture of ${describe(empty)}${note}`);
  }
  if (pictures.length === 0) throw new GhostkitError(`${name}: no pictures${note}`);
  return recordsOf(listing, names, pictures);
}

/** Folders of classes, either by themselves or in `train` and `val` (or `test`). */
export function folderSplits(listing: Listing): RecordSplits {
  const inner = unwrapped(listing);
  const folders = topFolders(inner);
  const find = (names: readonly string[]) =>
    names.flatMap((name) => folders.filter((folder) => folder.toLowerCase() === name)).at(0);
  const training = find(TRAIN);
  const held = find(HELD_OUT);
  if (training === undefined) return { train: classFolders(inner) };
  const train = classFolders(below(inner, training));
  const rest = held === undefined ? undefined : below(inner, held);
  // Pictures for testing come without labels in some sets: loose, or all in one folder.
  const hasClasses = rest && topFolders(rest).some((folder) => folder !== 'images' || train.classes.includes(folder));
  if (!hasClasses) return { train };
  return { train, val: classFolders(rest, train.classes) };
}

/** Reads one file of a listing as text. */
export type ReadText = (entry: Entry) => string;

/** Whether this is Tiny-ImageNet-200 as it is distributed. */
export function isTinyImagenet({ entries }: Listing): boolean {
  const paths = new Set(entries.map(({ path }) => path));
  return ['wnids.txt', 'words.txt', 'val/val_annotations.txt'].every((path) => paths.has(path));
}

const lines = (text: string): string[][] =>
  text
    .split(/\r?\n/)
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));

/** Tiny-ImageNet-200: classes are WordNet's numbers in order, named by `words.txt`; validation labels stand in a file. */
export function tinyImagenetSplits(listing: Listing, readText: ReadText): RecordSplits {
  const byPath = new Map(listing.entries.map((entry) => [entry.path, entry]));
  const text = (path: string) => lines(readText(byPath.get(path) as Entry));
  const ids = inOrder(text('wnids.txt').map(([id]) => id.trim()));
  const words = new Map(text('words.txt').map(([id, name]) => [id, name]));
  const classes = ids.map((id) => words.get(id) ?? id);
  const train = labelled(below(listing, 'train'), ids);
  const number = new Map(ids.map((id, i) => [id, i]));
  const val = text('val/val_annotations.txt').flatMap(([file, id]): Labelled[] => {
    const entry = byPath.get(`val/images/${file}`);
    const label = number.get(id);
    return entry && label !== undefined ? [{ entry, label }] : [];
  });
  const used = new Set(train.map(({ label }) => label));
  if (used.size < ids.length) {
    throw new GhostkitError(
      `${printable(listing.name, 500)}: no picture of ${describe(ids.filter((_, i) => !used.has(i)))}`,
    );
  }
  const trainRecords = recordsOf(listing, classes, train);
  return { train: trainRecords, ...(val.length > 0 && { val: recordsOf(listing, classes, val) }) };
}
