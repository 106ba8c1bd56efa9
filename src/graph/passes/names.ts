/** The name of the bias that belongs to a weight: `conv.weight` has `conv.bias`. Undefined for a weight without a name. */
export function biasNameOf(weight: string | undefined): string | undefined {
  if (weight === undefined) return undefined;
  return /(^|\.)weight$/.test(weight) ? weight.replace(/weight$/, 'bias') : `${weight}.bias`;
}
