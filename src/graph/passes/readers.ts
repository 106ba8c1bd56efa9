import { type Graph, outputSet, usersOf, type Value } from '../value.js';

/**
 * A test for values with a single reader that are not a graph output: what a pass may take into its reader, because nobody else
 * sees it. A value that is read twice by the same reader has two.
 */
export function onlyReadOnce(graph: Graph): (value: Value) => boolean {
  const users = usersOf(graph);
  const outputs = outputSet(graph);
  return (value) => users.get(value)?.length === 1 && !outputs.has(value);
}
