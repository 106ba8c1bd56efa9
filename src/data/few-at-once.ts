/** Pictures that one thread decodes at a time: their pixels are in memory together, and the decoder has threads of its own. */
const AT_ONCE = 4;

/** Does something with each of `count` pictures, beginning with the first, a few at a time. */
export async function fewAtOnce(count: number, task: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, work));
}
