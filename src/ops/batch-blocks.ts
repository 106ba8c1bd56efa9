// How a batch is divided where it is worked on in parts: by its shape alone, so that sums do not depend on the number of threads.

/** Rows of a block, at least: with fewer, kernels would begin too often. */
const BLOCK_ROWS = 256;

/** Rows of a chunk, which is summed as one, at most. */
const CHUNK_ROWS = 512;
/** Chunks of a batch that is one block: the threads have to share something. */
const FEWEST_CHUNKS = 4;
const FEWEST_ROWS = 64;

/** How many blocks of equally many images, of at least `least` rows, `rows` rows of `images` images are divided into. */
export function blocksOf(images: number, rows: number, least = BLOCK_ROWS): number {
  let blocks = images;
  while (blocks > 1 && (images % blocks !== 0 || rows / blocks < Math.max(least, BLOCK_ROWS))) blocks--;
  return blocks;
}

/** Every block in chunks: `size` rows each, but for the last of a block. */
export interface Chunks {
  readonly blocks: number;
  /** Of a block. */
  readonly rows: number;
  readonly size: number;
  /** Chunks of a block, and of all. */
  readonly perBlock: number;
  readonly count: number;
}

export function chunksOf(images: number, rows: number): Chunks {
  const blocks = blocksOf(images, rows);
  const ofBlock = rows / blocks;
  const wanted = Math.ceil(ofBlock / CHUNK_ROWS);
  const least = blocks > 1 ? 1 : Math.min(FEWEST_CHUNKS, Math.ceil(rows / FEWEST_ROWS));
  const size = Math.ceil(ofBlock / Math.max(wanted, least));
  const perBlock = Math.ceil(ofBlock / size);
  return { blocks, rows: ofBlock, size, perBlock, count: blocks * perBlock };
}
