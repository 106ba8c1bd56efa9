// How the threads divide a kernel's work: thread `tid` of `threads` takes the units from `first` to `last`, so that every result is
// computed by one thread and in one order, whatever their number.

/** The first unit of a thread's share of `units`, in whole multiples of `grain`. */
// @ts-expect-error: decorator
@inline
export function first(units: i32, grain: i32, tid: i32, threads: i32): i32 {
  const grains = (units + grain - 1) / grain;
  return min(units, ((grains * tid) / threads) * grain);
}

/** One past the last unit of a thread's share. */
// @ts-expect-error: decorator
@inline
export function last(units: i32, grain: i32, tid: i32, threads: i32): i32 {
  return first(units, grain, tid + 1, threads);
}
