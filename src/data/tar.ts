import { closeSync } from 'node:fs';
import type { Header as TarHeader } from 'tar/header';
import type { Pax as TarPax } from 'tar/pax';
import { openRegular, readPart } from '../formats/files.js';
import { printable } from '../formats/text.js';
import { withPath } from '../formats/with-path.js';
import { GhostkitError } from '../tensor/error.js';
import { byPath, checkDepth, type Entry, isIgnored, type Listing } from './listing.js';

const BLOCK = 512;

/** What extended headers may take; real ones hold a name and a few numbers. */
const MAX_EXTENSION = 1 << 20;

const COMPRESSED: readonly (readonly [magic: readonly number[], name: string, command: string])[] = [
  [[0x1f, 0x8b], 'gzip', 'gunzip'],
  [[0x42, 0x5a, 0x68], 'bzip2', 'bunzip2'],
  [[0xfd, 0x37, 0x7a, 0x58], 'xz', 'unxz'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'zstd', 'unzstd'],
];

/** `a/./b//c` as `a/b/c`; undefined for a path that leaves the archive, and for hidden files. */
function cleaned(path: string): string | undefined {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.length === 0 || parts.some((part) => part === '..' || isIgnored(part)) ? undefined : parts.join('/');
}

/** The header in a block, undefined where its numbers are none. */
function headerIn(
  Header: typeof TarHeader,
  block: Buffer,
  extension?: InstanceType<typeof TarPax>,
): TarHeader | undefined {
  try {
    return new Header(block, 0, extension);
  } catch {
    return undefined;
  }
}

/**
 * What is in a tar file and where, by reading its headers and jumping over the rest: nothing is unpacked. Links and devices are left out.
 *
 * @throws GhostkitError when it is compressed, no tar file, or cut off.
 */
export async function listTar(path: string): Promise<Listing> {
  const { Header } = await import('tar/header');
  const { Pax } = await import('tar/pax');
  const name = printable(path, 500);
  const fail = (what: string) => new GhostkitError(`${name}: ${what}`);
  const { descriptor, size: total } = withPath(path, () => openRegular(path));
  const entries: Entry[] = [];
  const folders = new Set<string>();
  try {
    const read = (at: number, length: number): Buffer => {
      const bytes = readPart(descriptor, at, length);
      if (bytes.length < length) throw fail('the tar file is cut off');
      return Buffer.from(bytes.buffer, 0, length);
    };
    const head = readPart(descriptor, 0, BLOCK);
    const compressed = COMPRESSED.find(([magic]) => magic.every((byte, i) => head[i] === byte));
    if (compressed) throw fail(`compressed with ${compressed[1]}; unpack it first: ${compressed[2]} ${name}`);
    if (total < BLOCK) throw fail('not a tar file');
    let extension: InstanceType<typeof Pax> | undefined;
    let longName: string | undefined;
    let at = 0;
    // Two empty blocks end an archive; some leave them out.
    while (at < total) {
      const header = headerIn(Header, read(at, BLOCK), extension);
      if (header?.nullBlock) break;
      const size = header?.size ?? 0;
      if (!header?.cksumValid || !(size >= 0))
        throw fail(at === 0 ? 'not a tar file' : `the tar file is damaged at byte ${at}`);
      const start = at + BLOCK;
      if (start + size > total) throw fail('the tar file is cut off');
      at = start + Math.ceil(size / BLOCK) * BLOCK;
      if (header.type === 'ExtendedHeader' || header.type === 'NextFileHasLongPath') {
        if (size > MAX_EXTENSION) throw fail(`a header of ${size} bytes at byte ${start - BLOCK}`);
        const text = read(start, size).toString('utf8');
        if (header.type === 'ExtendedHeader') extension = Pax.parse(text, extension);
        else longName = text.replace(/\0.*$/s, '');
        continue;
      }
      const entry = cleaned(longName ?? extension?.path ?? header.path ?? '');
      extension = undefined;
      longName = undefined;
      if (entry === undefined) continue;
      withPath(path, () => checkDepth(entry));
      if (header.type === 'Directory') folders.add(entry);
      else if (header.type === 'File' || header.type === 'OldFile' || header.type === 'ContiguousFile') {
        entries.push({ path: entry, file: path, offset: start, size });
        for (let i = entry.lastIndexOf('/'); i > 0; i = entry.lastIndexOf('/', i - 1)) folders.add(entry.slice(0, i));
      }
    }
  } finally {
    closeSync(descriptor);
  }
  if (entries.length === 0) throw fail('there is no file in it');
  // A file that was added again stands for the earlier one.
  const unique = new Map(entries.map((entry) => [entry.path, entry]));
  return { name: path, entries: byPath(unique.values()), folders: [...folders], separate: false, skippedLinks: [] };
}
