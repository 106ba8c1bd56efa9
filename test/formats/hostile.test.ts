import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCheckpoint } from '../../src/formats/checkpoint.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { legacyCheckpoint, Pickle, zipCheckpoint } from '../support/checkpoint-files.mjs';

const folder = mkdtempSync(join(tmpdir(), 'ghostkit-hostile-'));
const before = process.cwd();
const mark = join(folder, 'pwned');
const command = `touch ${mark}`;

beforeAll(() => process.chdir(folder));

afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true, force: true });
});

type Write = (p: Pickle) => Pickle;

const reduce =
  (module: string, name: string): Write =>
  (p) =>
    p.global(module, name).tuple(command).reduce();

const CALLS: [string, Write][] = [
  ['posix.system', reduce('posix', 'system')],
  ['os.system', reduce('os', 'system')],
  ['nt.system', (p) => p.stackGlobal('nt', 'system').tuple(command).reduce()],
  ['os.popen', (p) => p.raw(`(S'${command}'\nios\npopen\n`)],
  ['subprocess.Popen', (p) => p.global('subprocess', 'Popen').tuple(command).op(0x81)],
  ['subprocess.check_output', (p) => p.op('(').global('subprocess', 'check_output').str(command).op('o')],
  ['builtins.eval', reduce('builtins', 'eval')],
  ['builtins.exec', reduce('builtins', 'exec')],
  ['builtins.getattr', reduce('builtins', 'getattr')],
  ['builtins.open', reduce('builtins', 'open')],
  ['__builtin__.__import__', reduce('__builtin__', '__import__')],
  ['runpy._run_code', reduce('runpy', '_run_code')],
  ['importlib.import_module', reduce('importlib', 'import_module')],
  ['functools.partial', reduce('functools', 'partial')],
  ['operator.attrgetter', reduce('operator', 'attrgetter')],
  ['types.CodeType', reduce('types', 'CodeType')],
  ['marshal.loads', reduce('marshal', 'loads')],
  ['ctypes.CDLL', reduce('ctypes', 'CDLL')],
  ['webbrowser.open', reduce('webbrowser', 'open')],
  ['socket.socket', reduce('socket', 'socket')],
  ['pickle.loads', reduce('pickle', 'loads')],
  ['torch.hub.load', reduce('torch.hub', 'load')],
  ['torch.serialization.load', reduce('torch.serialization', 'load')],
  ['torch.storage._load_from_bytes', reduce('torch.storage', '_load_from_bytes')],
  ['torch.serialization.os.system', (p) => p.stackGlobal('torch.serialization', 'os.system').tuple(command).reduce()],
  ['some_module.helper', reduce('some_module', 'helper')],
  ['numpy.f2py.crackfortran.myeval', reduce('numpy.f2py.crackfortran', 'myeval')],
  // A known constructor must not become a way to call another name.
  [
    'os.system',
    (p) => {
      p.global('torch._tensor', '_rebuild_from_type_v2');
      return p.tuple((q: Pickle) => q.global('os', 'system'), null, [command], null).reduce();
    },
  ],
  [
    'some_module.helper',
    (p) => {
      p.global('copyreg', '_reconstructor');
      return p.tuple((q: Pickle) => q.global('some_module', 'helper'), null, command).reduce();
    },
  ],
];

describe.each(CALLS)('a pickle that calls %s', (name, write) => {
  const pickle = write(new Pickle().op('}').str('state_dict')).op('s').end();
  it.each<[string, Buffer]>([
    ['bare', pickle],
    ['in a zip archive', zipCheckpoint(pickle, {})],
    ['in the legacy format', legacyCheckpoint(pickle, [])],
    ['without a protocol', write(new Pickle(0)).end()],
  ])('%s is refused by name and runs nothing', async (form, bytes) => {
    const error = await parseCheckpoint(bytes).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(GhostkitError);
    const message = (error as Error).message;
    expect(message).not.toMatch(/\n/);
    // Without a protocol not every one of them still looks like a pickle.
    if (form !== 'without a protocol') expect(message).toContain(`would call ${name},`);
    expect(existsSync(mark)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });
});

it('refuses what is hidden beside good weights, before any weight is read', async () => {
  const pickle = new Pickle().value({ state_dict: {}, z: reduce('os', 'system') }).end();
  await expect(parseCheckpoint(zipCheckpoint(pickle, {}))).rejects.toThrow('would call os.system');
});

it('prints a hostile name on one line', async () => {
  const pickle = new Pickle(4).stackGlobal('os', 'system\n\u001b[31m\u202e').tuple(command).reduce().end();
  await expect(parseCheckpoint(pickle)).rejects.toThrow('would call os.system\\u{a}\\u{1b}[31m\\u{202e},');
});
