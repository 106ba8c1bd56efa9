import { crc32, inflateRawSync } from 'node:zlib';
import { type Entry, fromBuffer, type ZipFile } from 'yauzl';
import { GhostkitError } from '../../tensor/error.js';
import { messageOf, printable } from '../text.js';
import type { Budget } from './values.js';

const MAX_ENTRIES = 2 ** 18;
const LOCAL_HEADER_BYTES = 30;
const LOCAL_HEADER_SIGNATURE = 0x04034b50;
const STORED = 0;
const DEFLATED = 8;

/** A zip archive in memory. Entries are found by the central directory and unpacked one by one as they are asked for. */
export class Archive {
  private readonly unpacked = new Map<string, Uint8Array>();

  private constructor(
    private readonly bytes: Buffer,
    private readonly entries: ReadonlyMap<string, Entry>,
    private readonly budget: Budget,
  ) {}

  /** @throws GhostkitError when the archive is damaged or truncated, or names an entry twice. */
  static async open(bytes: Uint8Array, budget: Budget): Promise<Archive> {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const entries = new Map<string, Entry>();
    try {
      for await (const entry of (await openZip(buffer)).eachEntry()) {
        const name = entry.fileName.toString();
        // Readers differ in which of two entries they take, which is how a scanner is shown another file.
        if (entries.has(name)) throw new GhostkitError(`it has the entry ${printable(name)} twice`);
        if (entries.size >= MAX_ENTRIES) throw new GhostkitError(`it has more than ${MAX_ENTRIES} entries`);
        entries.set(name, entry);
      }
    } catch (error) {
      // Of what yauzl says, the first sentence: the second guesses what the line says already.
      const [reason] = messageOf(error).split('. ');
      throw new GhostkitError(`the zip archive is damaged or truncated (${reason})`, { cause: error });
    }
    return new Archive(buffer, entries, budget);
  }

  names(): IterableIterator<string> {
    return this.entries.keys();
  }

  /** The unpacked size of an entry in bytes; undefined when there is none of that name. */
  sizeOf(name: string): number | undefined {
    return this.entries.get(name)?.uncompressedSize;
  }

  /** @throws GhostkitError when the entry is missing, encrypted or damaged, or exceeds the budget. */
  read(name: string): Uint8Array {
    const entry = this.entries.get(name);
    if (!entry) throw new GhostkitError(`the archive has no entry ${printable(name)}`);
    const known = this.unpacked.get(name);
    if (known) return known;
    const bytes = this.unpack(name, entry);
    this.unpacked.set(name, bytes);
    return bytes;
  }

  private unpack(name: string, entry: Entry): Uint8Array {
    const damaged = (why: string) => new GhostkitError(`the archive's entry ${printable(name)} is damaged: ${why}`);
    const header = entry.relativeOffsetOfLocalHeader;
    if (!(header + LOCAL_HEADER_BYTES <= this.bytes.length)) throw damaged('it lies outside the file');
    if (this.bytes.readUInt32LE(header) !== LOCAL_HEADER_SIGNATURE) throw damaged('it has no header');
    const start =
      header + LOCAL_HEADER_BYTES + this.bytes.readUInt16LE(header + 26) + this.bytes.readUInt16LE(header + 28);
    const end = start + entry.compressedSize;
    if (!(end <= this.bytes.length)) throw damaged('it lies outside the file');
    if (entry.isEncrypted()) throw damaged('it is encrypted');
    let content: Uint8Array = this.bytes.subarray(start, end);
    if (entry.compressionMethod === DEFLATED) {
      this.budget.take(entry.uncompressedSize);
      try {
        content = inflateRawSync(content, { maxOutputLength: Math.max(1, entry.uncompressedSize) });
      } catch (error) {
        throw damaged(messageOf(error));
      }
    } else if (entry.compressionMethod !== STORED) {
      throw damaged(`its compression method ${entry.compressionMethod} is not supported`);
    }
    if (content.length !== entry.uncompressedSize) throw damaged('its size is wrong');
    // PyTorch can be told not to compute checksums; it then leaves zeros.
    if (entry.crc32 !== 0 && crc32(content) !== entry.crc32) throw damaged('its checksum is wrong');
    return content;
  }
}

function openZip(buffer: Buffer): Promise<ZipFile> {
  // Names are decoded here, not by yauzl, which would reject some that never become a path.
  const options = { lazyEntries: true, decodeStrings: false, autoClose: false };
  return new Promise((resolve, reject) => {
    fromBuffer(buffer, options, (error, zip) => (error ? reject(error) : resolve(zip)));
  });
}
