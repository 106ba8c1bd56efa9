import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

/** From the bottom up: a file may import from its own layer and from those before it. */
const LAYERS = [
  'tensor',
  'graph',
  'kernels',
  'ops',
  'graph/passes',
  'formats',
  'runtime',
  'nn',
  'quantize',
  'models',
  'data',
  'web',
  'hub',
  'train',
  'classify',
  'headswap',
  'cli',
  '', // index.ts and web.ts
];
/** What runs in a page as it is. */
const PAGE = ['tensor', 'graph', 'ops', 'graph/passes', 'nn', 'models'];

interface Import {
  readonly target: string;
  /** `import(...)`, which runs only where it is reached. */
  readonly dynamic: boolean;
  /** `import type`, which is gone when the program runs. */
  readonly typeOnly: boolean;
}

const root = fileURLToPath(new URL('..', import.meta.url));

function sourceFiles(): string[] {
  return readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })
    .map((file) => `src/${file.replaceAll('\\', '/')}`)
    .filter((file) => /\.(ts|mjs|js)$/.test(file));
}

function importsOf(path: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node | undefined, dynamic: boolean, typeOnly: boolean) => {
    if (!node || !ts.isStringLiteral(node)) return;
    const { text: to } = node;
    const target = to.startsWith('.') ? posix.join(posix.dirname(path), to).replace(/\.js$/, '.ts') : to;
    found.push({ target, dynamic, typeOnly });
  };
  const visit = (node: ts.Node) => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, false, node.importClause?.isTypeOnly ?? false);
    if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, false, node.isTypeOnly);
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], true, false);
    }
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, false, true);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest));
  return found;
}

function layerOf(path: string): string {
  const folder = posix.relative('src', posix.dirname(path));
  return LAYERS.filter((layer) => folder === layer || folder.startsWith(`${layer}/`)).sort(
    (a, b) => b.length - a.length,
  )[0];
}

/** What is wrong with one import, or undefined. */
function violation(path: string, { target, dynamic, typeOnly }: Import): string | undefined {
  const from = layerOf(path);
  if (from === undefined) return `${path}: its folder is not a layer`;
  if (target.startsWith('src/')) {
    const to = layerOf(target);
    if (LAYERS.indexOf(to) > LAYERS.indexOf(from))
      return `${path} imports ${target}: ${from} is below ${to || 'index'}`;
    if (to === 'graph' && posix.dirname(target) !== 'src/graph') return `${path} imports ${target}: not a layer`;
    if (from !== 'kernels' && to === 'kernels' && target !== 'src/kernels/opcodes.ts') {
      return `${path} imports ${target}: only opcodes.ts is TypeScript`;
    }
  }
  if (target.startsWith('node:') && !typeOnly) {
    if (PAGE.includes(from)) return `${path} imports ${target}: it must run in a page`;
    if (from === 'runtime' && !dynamic) return `${path} imports ${target}: runtime may only with import()`;
  }
  return undefined;
}

describe('layers', () => {
  it('imports point downwards, and what a page needs is free of node:', () => {
    const found = sourceFiles()
      .filter((path) => layerOf(path) !== 'kernels')
      .flatMap((path) => importsOf(path, readFileSync(root + path, 'utf8')).map((i) => violation(path, i)));
    expect(found.length).toBeGreaterThan(50);
    expect(found.filter((v) => v !== undefined)).toEqual([]);
  });

  it('nothing that web.ts loads imports node:', () => {
    const found: string[] = [];
    const seen = new Set<string>();
    const load = (path: string) => {
      if (seen.has(path) || !existsSync(root + path)) return;
      seen.add(path);
      for (const { target, dynamic, typeOnly } of importsOf(path, readFileSync(root + path, 'utf8'))) {
        if (typeOnly || dynamic) continue;
        if (target.startsWith('src/')) load(target);
        else if (target.startsWith('node:')) found.push(`${path} imports ${target}`);
      }
    };
    load('src/web.ts');
    expect(found).toEqual([]);
  });

  it('no source file has more than 400 lines', () => {
    const long = sourceFiles().filter(
      (path) =>
        readFileSync(root + path, 'utf8')
          .trimEnd()
          .split('\n').length > 400,
    );
    expect(long).toEqual([]);
  });

  it.each([
    ['src/ops/a.ts', "import { b } from '../nn/b.js';"],
    ['src/graph/a.ts', "import type { B } from '../ops/b.js';"],
    ['src/graph/a.ts', "export * from './passes/b.js';"],
    ['src/ops/a.ts', "import { fuse } from '../graph/passes/fuse.js';"],
    ['src/cli/a.ts', "import { b } from '../index.js';"],
    ['src/runtime/a.ts', "import { b } from '../kernels/conv.js';"],
    ['src/nn/a.ts', "const fs = await import('node:fs');"],
    ['src/runtime/a.ts', "import { b } from 'node:fs';"],
    ['src/utils/a.ts', "import { b } from '../tensor/b.js';"],
  ])('finds what is wrong in %s: %s', (path, text) => {
    expect(importsOf(path, text).map((i) => violation(path, i))).toEqual([expect.stringContaining(path)]);
  });

  it.each([
    ['src/runtime/a.ts', "const fs = await import('node:fs');"],
    ['src/runtime/a.ts', "import type { Worker } from 'node:worker_threads';"],
    ['src/ops/a.ts', "import { Opcode } from '../kernels/opcodes.js';"],
    ['src/graph/passes/a.ts', "import { add } from '../../ops/binary.js';"],
    ['src/index.ts', "export * from './cli/main.js';"],
  ])('allows in %s: %s', (path, text) => {
    expect(importsOf(path, text).map((i) => violation(path, i))).toEqual([undefined]);
  });
});
