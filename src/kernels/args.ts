// A kernel's arguments stand behind each other in memory, 4 bytes each.

/** Argument `i` as an integer or an address. */
// @ts-expect-error: decorator
@inline
export function arg(p: usize, i: i32): i32 {
  return load<i32>(p + (i << 2));
}

/** Argument `i` as a float. */
// @ts-expect-error: decorator
@inline
export function floatArg(p: usize, i: i32): f32 {
  return load<f32>(p + (i << 2));
}
