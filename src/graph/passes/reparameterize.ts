import { add, binaryOp } from '../../ops/binary.js';
import { type Graph, isOp, rewrite, type Value, valuesOf } from '../value.js';
import { affineOf } from './affine.js';
import {
  affineBranch,
  type Branch,
  convolutionBranch,
  convolutionOf,
  identityBranch,
  sumBranches,
  weightCount,
} from './branch.js';
import { onlyReadOnce } from './readers.js';

/** One term of a sum: as it is computed now and, if it is linear in one value, as a branch. */
interface Term {
  readonly value: Value;
  readonly branch?: Branch;
}

/**
 * Structural re-parameterisation: merges sums of linear branches on one value (convolutions of any kind, batch norms, the value
 * itself, scales, chains and nested sums of these) into one convolution with bias. It knows no network: RepGhost, RepVGG,
 * MobileOne and ACNet blocks all are such sums. Terms on other values stay terms of the sum. What someone else reads
 * or what is a graph output is not merged away. In double precision, rounded once.
 */
export function reparameterize(graph: Graph): Graph {
  const { branches, sums, absorbed } = findBranches(graph);
  const rebuilt = new Map<Value, Value>();
  const now = (value: Value) => rebuilt.get(value) as Value;
  return rewrite(graph, (value, original) => {
    rebuilt.set(original, value);
    if (absorbed.has(original)) return value;
    const branch = branches.get(original);
    const terms = sums.get(original) ?? (branch ? [{ value: original, branch }] : []);
    const merged = mergeTerms(terms);
    if (merged.every((term) => !term.branch || term.branch.terms === 1)) return value;
    const result = merged
      .map((term) =>
        term.branch && term.branch.terms > 1 ? convolutionOf(term.branch, now(term.branch.source)) : now(term.value),
      )
      .reduce(add);
    rebuilt.set(original, result);
    return result;
  });
}

/** The most terms of a sum within another. Blocks have a dozen branches; every term is compared with every other. */
const MOST_TERMS = 64;

/** Reads every value as a branch and every addition as a list of terms, as far as they are. */
function findBranches(graph: Graph) {
  const branches = new Map<Value, Branch>();
  const sums = new Map<Value, Term[]>();
  /** Values that are computed as a part of their only reader. */
  const absorbed = new Set<Value>();
  const mayAbsorb = onlyReadOnce(graph);

  /** A value as its reader may see it: what it is made of if that reader is the only one, else a source. */
  const branchFor = (value: Value): Branch | undefined => {
    const branch = mayAbsorb(value) ? branches.get(value) : undefined;
    if (branch) absorbed.add(value);
    return branch ?? identityBranch(value);
  };
  const termsFor = (value: Value): Term[] => {
    const inner = mayAbsorb(value) ? sums.get(value) : undefined;
    if (inner && inner.length > MOST_TERMS) return [{ value, branch: identityBranch(value) }];
    if (inner) absorbed.add(value);
    return inner ?? [{ value, branch: branchFor(value) }];
  };

  for (const value of valuesOf(graph)) {
    if ((value.attrs as { activation?: string }).activation !== 'none') continue;
    const affine = affineOf(value);
    if (affine) {
      const inner = branchFor(affine.x);
      if (inner) branches.set(value, affineBranch(inner, affine));
    } else if (isOp(value, binaryOp) && value.attrs.kind === 'add') {
      const terms = value.inputs.flatMap(termsFor);
      sums.set(value, terms);
      const [one, ...others] = mergeTerms(terms);
      if (one.branch && others.length === 0) branches.set(value, one.branch);
    } else {
      const branch = convolutionBranch(value);
      if (branch) branches.set(value, branch);
    }
  }
  return { branches, sums, absorbed };
}

/**
 * Merges the terms that can be one convolution, in the order of the first of each. Large kernels go first: 1x3 and 3x1 are
 * not worth merging into 3x3, but both are into a 3x3 that is there anyway.
 */
function mergeTerms(terms: readonly Term[]): Term[] {
  const size = (i: number) => {
    const { branch } = terms[i];
    return branch && !branch.identity ? weightCount(branch) : 0;
  };
  const merged: (Term & { first: number })[] = [];
  for (const i of [...terms.keys()].sort((a, b) => size(b) - size(a))) {
    const { branch, value } = terms[i];
    let at = -1;
    let sum: Branch | undefined;
    while (branch && !sum && ++at < merged.length) {
      const other = merged[at].branch;
      sum = other && sumBranches(other, branch);
    }
    if (sum) merged[at] = { value, branch: sum, first: Math.min(merged[at].first, i) };
    else merged.push({ value, branch, first: i });
  }
  return merged.sort((a, b) => a.first - b.first);
}
