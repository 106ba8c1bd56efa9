import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** As strict as a project that uses the package can be. */
const OPTIONS: ts.CompilerOptions = {
  ...{ target: ts.ScriptTarget.ES2022, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'], noEmit: true, types: ['node'] },
  ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, verbatimModuleSyntax: true },
  ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false },
};

/** What the reader brings along: it is said in a comment beside its use. */
const YOURS = 'declare const examples: { picture: HTMLImageElement; label: number }[];';

/** The TypeScript in a document, each piece as a module beside it. */
function snippets(document: string): [path: string, text: string][] {
  const text = readFileSync(join(root, document), 'utf8');
  return [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code], i) => {
    const yours = code.includes(' examples.') ? `${YOURS}\n` : '';
    return [join(root, document.replace('.md', `-${i + 1}.ts`)), `${yours}${code}\nexport {};\n`];
  });
}

it('what the documents show compiles, against the types that the package ships', () => {
  const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)];
  const shown = new Map(documents.filter((name) => name.endsWith('.md')).flatMap(snippets));
  expect(shown.size).toBeGreaterThan(8);
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => shown.has(path) || fileExists(path);
  host.readFile = (path) => shown.get(path) ?? readFile(path);
  host.getSourceFile = (path, options, ...rest) => {
    const text = shown.get(path);
    return text === undefined ? getSourceFile(path, options, ...rest) : ts.createSourceFile(path, text, options);
  };
  const program = ts.createProgram([...shown.keys()], OPTIONS, host);
  const wrong = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return `${file?.fileName.slice(root.length)}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
  expect(wrong).toEqual([]);
});
