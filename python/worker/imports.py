"""Imports the worker's own modules, and modules of the standard library for the worker.

A file of the user may have the name of a module of the standard library, such as types.py in the working
directory, or queue.py in Options.Path. Imports of the worker do not find such files.

A task can change state that all code of the interpreter shares: for example, it can set builtins.len to None, or
replace os.write. Later tasks see the change. If such a change affected the worker, the worker could hang, and
results of other tasks would not arrive. So the worker's modules use copies of builtins, and of the modules that
they need while tasks run; see private."""

import builtins
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, PathFinder
from _thread import _local
from marshal import loads


BUILTINS = __builtins__  # a dict: the builtins of the worker's modules
modules = sys.modules


def private(module):
    """Returns a copy of a module. Later changes of the module do not change the copy. But the functions in the copy
    still use the module itself."""
    copy = type(sys)(module.__name__)
    copy.__dict__.update(vars(module))
    return copy


class Finder:
    """Finds the modules of the package concert, which have no files. While a thread runs own(), Finder also finds
    all other modules for this thread, but only in the standard library."""

    def __init__(self, parts, path):
        self.parts = parts  # the source text or the code of each module of the package concert, by name
        self.worker_modules = {"sys": sys, "builtins": builtins}  # by name; also has the modules of the package concert
        self.path = path
        self.local = _local()  # local.own is True while the thread runs own()
        self.imported_asyncio = None  # the function to call after a task has imported asyncio

    def find_spec(self, name, path=None, target=None):
        if name in self.parts:
            return ModuleSpec(name, self, origin="<%s>" % name)
        if path is None and getattr(self.local, "own", False):
            return PathFinder.find_spec(name, self.path)
        if name == "asyncio" and path is None and self.imported_asyncio is not None:
            return self.notifying(PathFinder.find_spec(name))
        return None

    def notifying(self, spec):
        """Changes a spec, so that the import calls imported_asyncio after it has executed the module."""
        execute = getattr(spec and spec.loader, "exec_module", None)
        if execute is not None:

            def exec_module(module):
                execute(module)
                self.imported_asyncio()

            spec.loader.exec_module = exec_module
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        self.worker_modules[name] = module
        self.local.own, before = True, getattr(self.local, "own", False)
        module.__dict__["__builtins__"] = BUILTINS
        try:
            part = self.parts[name]
            exec(compile(part, "<%s>" % name, "exec") if type(part) is str else part, module.__dict__)
        except BaseException:  # for example, a cancellation; the next import must execute the module again
            self.worker_modules.pop(name, None)
            raise
        finally:
            self.local.own = before


def own(name):
    """Imports a module for the worker itself, from the standard library only."""
    module = modules.get(name)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        return module
    restore()  # if another thread is importing the module, __import__ waits for that thread
    local = finder.local
    local.own, before = True, getattr(local, "own", False)
    try:
        __import__(name)
    finally:
        local.own = before
    return modules[name]


def loaded(name):
    """Returns a module of the package concert, or None if it was not imported."""
    return finder.worker_modules.get(name)


def restore():
    """Puts the worker's modules back into sys.modules, because a task may have removed them. The module sys is one
    of them: a new import of sys would make a module without the attributes that the interpreter adds, and later
    imports would fail."""
    for name, module in list(finder.worker_modules.items()):
        if modules.get(name) is not module:
            modules[name] = module


def install(parts, compiled, path):
    """Makes the package concert importable. Tasks can import it, too. The parameter compiled has the code of its
    modules. For each module, it has a text in base64: a number for the Python version that can run the code, and
    then the code. If New has not compiled the modules, compiled is empty."""
    global finder
    finder = Finder(parts, path)
    for name in "concert", "concert.imports":
        finder.worker_modules[name] = modules[name]
    sys.meta_path.insert(0, finder)
    try:
        codes = {name: own("binascii").a2b_base64(text) for name, text in compiled.items()}
        if all(code.startswith(MAGIC_NUMBER) for code in codes.values()):
            parts.update({name: loads(code[len(MAGIC_NUMBER) :]) for name, code in codes.items()})
    except Exception:
        pass  # the code is incomplete, or there is no module binascii
