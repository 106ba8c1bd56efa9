/**
 * A name out of an untrusted file, fit for one line of a message: control and text-direction characters are escaped,
 * a long name is cut.
 */
export function printable(name: string, limit = 100): string {
  const cut = name.length > limit ? `${name.slice(0, limit)}…` : name;
  return cut.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`);
}

/** The message of whatever was thrown, on one line. */
export function messageOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error), 300);
}
