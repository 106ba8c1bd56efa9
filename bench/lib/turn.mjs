/** One run that is not counted, then as many as fit into `ms`, two at least: the milliseconds of each. Runs in a browser too. */
export async function turnOf(run, ms) {
  await run();
  const times = [];
  const end = performance.now() + ms;
  while (times.length < 2 || performance.now() < end) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return times;
}
