/** What the caller got wrong: told in one line, without a stack. */
export class UsageError extends Error {
  name = 'UsageError';
}

/** The value of an option that has to be a positive number. */
export function positive(values, name) {
  const value = Number(values[name]);
  if (!(value > 0 && Number.isFinite(value))) throw new UsageError(`--${name}: a positive number, got ${values[name]}`);
  return value;
}

/** The items whose `label` contains one of the comma-separated texts; all of them without a filter. */
export function filtered(items, filter, label) {
  const texts = filter?.split(',') ?? [''];
  const found = items.filter((item) => texts.some((text) => label(item).includes(text)));
  if (found.length === 0) throw new UsageError(`--filter ${filter}: none of ${items.map(label).join(', ')}`);
  return found;
}
