/**
 * Top-level modules whose names are refused wherever they stand in a pickle, called or not: they run programs, reach
 * files or the network, or evaluate, import and compose code. The list follows PyTorch's `weights_only` block list and
 * the scanners of pickles. A name that is not on it is still never called unless `globals.ts` knows it.
 */
export const DENIED_MODULES: ReadonlySet<string> = new Set(
  `
  __builtin__ builtins os nt posix posixpath ntpath nturl2path sys subprocess _posixsubprocess commands popen2 pty
  platform shutil tempfile glob fileinput linecache pathlib2 mmap fcntl msvcrt winreg _winreg _winapi resource signal
  socket _socket socketserver ssl select selectors asyncio asyncore asynchat http httplib urllib urllib2 urllib3
  requests httpx aiohttp ftplib poplib imaplib nntplib smtplib smtpd telnetlib xmlrpc webbrowser antigravity cgi
  importlib imp _imp runpy pkgutil zipimport modulefinder site sitecustomize usercustomize _frozen_importlib
  _frozen_importlib_external pip setuptools pkg_resources distutils venv ensurepip
  code codeop codecs types marshal inspect ast dis symtable py_compile compileall gc atexit weakref
  functools _functools operator _operator itertools
  pickle _pickle cPickle dill cloudpickle joblib shelve dbm sqlite3 jsonpickle
  ctypes _ctypes cffi _cffi_backend threading _thread thread multiprocessing _multiprocessing concurrent
  io _io _pyio getpass pwd grp spwd bdb pdb trace tracemalloc profile cProfile timeit doctest unittest test pydoc
  idlelib lib2to3 tkinter turtle _osx_support _aix_support sysconfig readline rlcompleter cmd
  `
    .trim()
    .split(/\s+/),
);

/** The builtins that only hold data; everything else in `builtins` is refused. */
export const HARMLESS_BUILTINS: ReadonlySet<string> = new Set(
  'set frozenset list dict tuple bytes bytearray complex slice range int long float str unicode bool object'.split(' '),
);

/** Names of `torch` that would unpickle a second time or leave the element type to the file. */
export const DENIED_NAMES: ReadonlySet<string> = new Set([
  'torch.storage._load_from_bytes',
  'torch.storage.UntypedStorage',
  'torch.storage.TypedStorage',
  'torch.UntypedStorage',
  'torch.TypedStorage',
]);
