/** The worst deviation seen so far, over all outputs and forms, and whatever else is wrong. */
export class Worst {
  error = 0;
  where = '';
  /** Outputs compared. */
  compared = 0;
  problems = [];

  constructor(bound) {
    this.bound = bound;
  }

  /** Takes a deviation relative to what the bound is relative to. One that is not a number stays the worst for good. */
  add(error, where) {
    if (Number.isNaN(this.error) || !(error > this.error || Number.isNaN(error))) return;
    this.error = error;
    this.where = where;
  }

  /** Notes a count that is not the expected one; without an expected one, nothing. */
  need(name, expected, got) {
    if (expected !== undefined && expected !== got) this.problems.push(`${name}: ${got}, expected ${expected}`);
  }

  /** `maxError` is null where a deviation was not a number: JSON has no other way to say so. */
  verdict() {
    const { error, where, bound, problems } = this;
    if (!(error <= bound)) problems.push(`${where} is off by ${error}`);
    const ok = problems.length === 0;
    return {
      maxError: Number.isFinite(error) ? error : null,
      bound,
      ok,
      worst: where,
      ...(ok ? {} : { error: problems.join('; ') }),
    };
  }
}

/** Compares a result `{shape, data}` with a golden output: its values, or those at `indices`, and its statistics. */
export function compareOutput(worst, where, expected, result) {
  if (typeof expected !== 'object' || expected === null) throw new Error(`${where}: not an output`);
  if (!result) throw new Error(`${where}: the network has no such output`);
  const { shape, values = [], indices } = expected;
  if (String(shape) !== String(result.shape)) {
    throw new Error(`${where}: shape [${result.shape}], expected [${shape}]`);
  }
  const { data } = result;
  const count = indices ? indices.length : data.length;
  if (expected.values !== undefined && values.length !== count) {
    throw new Error(`${where}: ${values.length} values for ${count} elements`);
  }
  const measured = statistics(data);
  const given = Object.keys(measured).filter((name) => expected[name] !== undefined);
  if (values.length + given.length === 0) throw new Error(`${where}: nothing to compare with`);

  const scale = Math.max(1, number(where, expected.absMax ?? measured.absMax));
  for (let i = 0; i < values.length; i++) {
    const at = indices ? indices[i] : i;
    if (!(Number.isInteger(at) && at >= 0 && at < data.length)) throw new Error(`${where}: no element ${at}`);
    worst.add(Math.abs(number(where, values[i]) - data[at]) / scale, `${where}[${at}]`);
  }
  for (const name of given) {
    const off = [measured[name]].flat().map((value) => Math.abs(number(where, expected[name]) - value));
    worst.add(Math.min(...off) / scale, `${where} ${name}`);
  }
  worst.compared++;
}

function number(where, value) {
  if (typeof value !== 'number') throw new Error(`${where}: ${JSON.stringify(value)} is not a number`);
  return value;
}

/** `std` both over all elements and, as PyTorch's own `std` is by default, as the estimate from a sample. */
function statistics(data) {
  let sum = 0;
  let absMax = 0;
  for (const v of data) {
    sum += v;
    absMax = Math.abs(v) > absMax || Number.isNaN(v) ? Math.abs(v) : absMax;
  }
  const mean = sum / data.length;
  let squares = 0;
  for (const v of data) squares += (v - mean) ** 2;
  return { mean, std: [data.length, data.length - 1].map((n) => Math.sqrt(squares / Math.max(1, n))), absMax };
}
