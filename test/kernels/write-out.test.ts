import fc from 'fast-check';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { writeOut } from '../../scripts/lib/write-out.mjs';

// What is written out has to do what its loops and arrays say. Both are run as JavaScript: the text as it stands, where loops are loops and registers are
// arrays, and the text that was written out.

const SOURCE = `
export function tile<ROWS extends number, COLUMNS extends number, MIRRORED extends boolean>(a: number[], b: number[], steps: number): number[] {
  const last = COLUMNS - 1;
  let c: Registers<f64>;
  let x: Registers<f64>;
  const out: number[] = [];
  unroll: for (let i = 0; i < ROWS; i++) {
    unroll: for (let j = 0; j < COLUMNS; j++) c[i][j] = i * 10 + (MIRRORED ? last - j : j);
  }
  for (let step = 0; step < steps; step++) {
    unroll: for (let i = 0; i < ROWS; i++) x[i] = a[step * ROWS + i];
    unroll: for (let j = 0; j < COLUMNS; j++) {
      const w = b[step * COLUMNS + j];
      const at = MIRRORED ? last - j : j;
      unroll: for (let i = 0; i < ROWS; i++) if (i != j || step > 1) c[i][at] += x[i] * w;
    }
    if (step % 2 == 0 && ROWS > 1) c[0][0] -= 1;
    else if (MIRRORED) c[ROWS - 1][last] += 0.5;
    while (c[0][0] > 1000) c[0][0] /= 2;
  }
  unroll: for (let i = ROWS - 1; i >= 0; i--) {
    unroll: for (let j = 0; j < COLUMNS; j += 2) out.push(c[i][j]);
  }
  return out;
}`;

type Tile = (a: number[], b: number[], steps: number) => number[];

const run = <T>(text: string, name: string): T =>
  new Function(
    `${ts.transpile(text.replaceAll('export ', ''), { target: ts.ScriptTarget.ES2022 })}; return ${name};`,
  )();

/** The loops as they stand. */
function asItStands(rows: number, columns: number, mirrored: boolean): Tile {
  const text = SOURCE.replace(/function tile<[^>]*>\(/, 'function tile(ROWS, COLUMNS, MIRRORED, ')
    .replaceAll('unroll: ', '')
    .replaceAll(/let (\w+): Registers<f64>;/g, 'const $1 = Array.from({ length: 9 }, () => []);');
  const tile = run<(...all: unknown[]) => number[]>(text, 'tile');
  return (...rest) => tile(rows, columns, mirrored, ...rest);
}

const writeTile = (call: string) =>
  writeOut({ tiles: SOURCE, user: `import { tile } from './tiles';\nfunction user(): void { ${call} }` });

describe('writing kernels out', () => {
  it('keeps what loops, registers and conditions mean', () => {
    const size = fc.integer({ min: 1, max: 4 });
    const values = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(size, size, fc.boolean(), values, values, fc.nat(4), (rows, columns, mirrored, a, b, steps) => {
        const { tiles } = writeTile(`tile<${rows}, ${columns}, ${mirrored}>(a, b, 1);`);
        const name = `tile_${rows}_${columns}_${mirrored}`;
        expect(run<Tile>(tiles, name)(a, b, steps)).toEqual(asItStands(rows, columns, mirrored)(a, b, steps));
        expect(tiles).not.toMatch(/unroll|Registers|ROWS|\[\w+\]\[/);
      }),
    );
  });

  it('makes one function for every set of numbers, and imports those that are used', () => {
    const { tiles, user } = writeTile(
      'tile<1, 2, false>(a, b, 1); tile<1, 2, false>(b, a, 2); tile<2, 1, true>(a, b, 3);',
    );
    expect(tiles.match(/function \w+/g)).toEqual(['function tile_1_2_false', 'function tile_2_1_true']);
    expect(user).toContain("import { tile_1_2_false, tile_2_1_true } from './tiles';");
    expect(user).toMatch(/tile_1_2_false\(a, b, 1\);\s+tile_1_2_false\(b, a, 2\);\s+tile_2_1_true\(a, b, 3\);/);
  });

  it('passes numbers on from one template to another, beside types', () => {
    const written = writeOut({
      a: `import { inner } from './b';
        function outer<N extends number>(): void { unroll: for (let i = 1; i <= N; i++) inner<u8, i>(N - i); }
        function start(): void { outer<2>(); }`,
      b: 'export function inner<T, N extends number>(x: i32): T { return <T>(x + N); }',
    });
    expect(written.a).toMatch(/inner_1<u8>\(1\);\s+inner_2<u8>\(0\);/);
    expect(written.b).toMatch(/function inner_1<T>\(x: i32\): T \{\s+return <T>\(x \+ 1\);/);
    expect(written.b).toMatch(/function inner_2<T>/);
  });

  it('leaves what has none of it as it is', () => {
    const text = 'export const LIMIT: i32 = 4 * 8;\nexport function f(x: i32): i32 {\n  return x < 3 ? x : 2 + 3;\n}';
    const lines = (code: string) => code.split('\n').map((line) => line.trim());
    expect(lines(writeOut({ a: text }).a)).toEqual(lines(text));
  });

  it.each([
    ['let c: Registers<v128>;\n c[n] = 1;', 3, 'n is not known when this is written out'],
    ['let c: Registers<v128>;\n use(c);', 3, 'c are registers: which of them?'],
    ['unroll: for (let i = 0; i < n; i++) use(i);', 2, 'i < n is not known when this is written out'],
    ['unroll: for (let i = 0; i < 2; i += 0) use(i);', 2, 'this loop does not end'],
    ['unroll: while (n > 0) use(n);', 2, 'what is unrolled is a loop that counts'],
    ['unroll: for (let i = 0; i < 2; i++) { let i = 3; }', 2, 'i is a number here'],
    ['unroll: for (let i = 0; i < 2; i++) use(i / 2);', 2, 'this is no whole number'],
  ])('says where %j cannot be written out', (body, line, why) => {
    expect(() => writeOut({ kernel: `function f(n: i32): void {\n ${body}\n}` })).toThrow(
      `src/kernels/kernel.ts:${line}: ${why}`,
    );
  });
});
