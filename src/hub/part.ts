import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';

/** SHA-256 of a file of any size, in hexadecimal. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

/**
 * A file that is on its way: `NAME.part` beside its place, and `NAME.part.etag` with the server's tag of what it is a part of. Both
 * outlive an interruption, so that the next try goes on where this one ended.
 */
export class PartFile {
  private file?: FileHandle;
  /** Bytes that were there and have been added. */
  size = 0;

  private constructor(readonly path: string) {}

  private get part(): string {
    return `${this.path}.part`;
  }

  private get tag(): string {
    return `${this.path}.part.etag`;
  }

  /** What an earlier try left, if anything. */
  static async open(path: string): Promise<PartFile> {
    const part = new PartFile(path);
    part.size = await part.sizeOnDisk();
    return part;
  }

  async sizeOnDisk(): Promise<number> {
    return (await stat(this.part).catch(() => undefined))?.size ?? 0;
  }

  /** The tag of the file that the part is of, as the server gave it. */
  async etag(): Promise<string | undefined> {
    return (await readFile(this.tag, 'utf8').catch(() => '')) || undefined;
  }

  /** Begins to write at the end of the part, or with `restart` from nothing. */
  async begin({ restart, etag }: { restart: boolean; etag: string | null }): Promise<void> {
    await this.file?.close();
    this.file = await open(this.part, restart ? 'w' : 'a');
    if (restart) this.size = 0;
    // A weak tag does not promise the same bytes.
    if (etag && !etag.startsWith('W/')) await writeFile(this.tag, etag);
    else await rm(this.tag, { force: true });
  }

  async append(chunk: Uint8Array): Promise<void> {
    await this.file?.writeFile(chunk);
    this.size += chunk.length;
  }

  async close(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }

  /** Of what is on the disk, not of what was received: that is what is kept. */
  sha256(): Promise<string> {
    return sha256OfFile(this.part);
  }

  /** Gives the file its name. */
  async finish(): Promise<void> {
    const file = this.file ?? (await open(this.part, 'a'));
    this.file = undefined;
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(this.part, this.path);
    await rm(this.tag, { force: true });
  }

  async discard(): Promise<void> {
    await this.close();
    await rm(this.part, { force: true });
    await rm(this.tag, { force: true });
    this.size = 0;
  }
}
