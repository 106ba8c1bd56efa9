// The threads' meeting place, 32 bytes: 0 how many have arrived, 4 how many meetings there have been, 8 how many sleep, 12 how many
// programs were announced, 16 and 20 the announced program's start and end, 24 whether a thread has failed: the others then fail too, instead
// of waiting for it.

/** Looks before a thread goes to sleep: some 20 microseconds, longer than a kernel's threads are apart. */
const SPINS: i32 = 6000;

/** Looks before a helper goes to sleep between programs: long enough for the caller to take the results and come back with the next inputs. */
const IDLE_SPINS: i32 = 100000;

/** Nanoseconds of one sleep. */
const NAP: i64 = 100000000;

/**
 * Passes some ten cycles between two looks, in any engine: how long a bare loop takes is the compiler's choice. A division whose divisor is the last
 * result takes its time and cannot be left out; from 1 on the results are never 0.
 */
// @ts-expect-error: decorator
@inline
function pause(last: u32): u32 {
  return 1000000007 / (last | 1);
}

/** Looks that this thread may still take beyond {@link SPINS} before it sleeps. */
let patience: i32 = 0;

/**
 * The looks that are granted when helpers had to be woken, over a millisecond in all. They may come late, from a processor that was asleep or
 * slow, and a thread that sleeps meanwhile is put on the same processor as whoever wakes it: all then takes turns there, for tens of milliseconds.
 */
const PATIENCE: i32 = 400000;

/** Tells the helpers that there is work. */
export function announce(sync: usize): void {
  atomic.add<i32>(sync, 1, 12);
  if (atomic.notify(sync + 12, -1) > 0) patience = PATIENCE;
}

/** Waits until all threads are here. Only a thread that `mayWait` sleeps; a page's main thread is not allowed to. */
export function arrive(sync: usize, threads: i32, mayWait: i32): void {
  if (threads == 1) return;
  const meeting = atomic.load<i32>(sync, 4);
  if (atomic.add<i32>(sync, 1) == threads - 1) {
    atomic.store<i32>(sync, 0);
    atomic.add<i32>(sync, 1, 4);
    if (atomic.load<i32>(sync, 8) != 0) atomic.notify(sync + 4, -1);
    return;
  }
  let pauses: u32 = 1;
  for (let i = 0; atomic.load<i32>(sync, 4) == meeting; i++) {
    pauses = pause(pauses);
    if ((i < SPINS || patience-- > 0) && pauses != 0) continue;
    if (atomic.load<i32>(sync, 24) != 0) unreachable();
    if (!mayWait) continue;
    // The last to arrive raises the meeting before it looks for sleepers, so either it sees this one or this one sees the raise. Nobody wakes
    // this one when a thread fails, so it looks now and then.
    atomic.add<i32>(sync, 1, 8);
    atomic.wait<i32>(sync + 4, meeting, NAP);
    atomic.sub<i32>(sync, 1, 8);
  }
}

/** Waits for the announcement after the one numbered `seen` and returns its number. */
export function awaitWork(sync: usize, seen: i32): i32 {
  let pauses: u32 = 1;
  for (let i = 0; i < IDLE_SPINS && pauses != 0; i++) {
    if (atomic.load<i32>(sync, 12) != seen) break;
    pauses = pause(pauses);
  }
  while (atomic.load<i32>(sync, 12) == seen) atomic.wait<i32>(sync + 12, seen, -1);
  return atomic.load<i32>(sync, 12);
}
