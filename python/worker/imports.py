"""Imports of the worker's own modules, and of those that it needs from the standard library.

A file of the user's may have the name of a module of the standard library: types.py in the
working directory, or queue.py in Options.Path. The worker never takes those for its own.

A task can change state that all code of the interpreter shares: it can set builtins.len to None, or
replace os.write. Tasks that follow see the change. The worker must not see it: it could hang while it
holds results of other tasks. So the worker's modules use copies: of builtins, and of the modules
that they need while tasks run; see private."""

import builtins
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import PathFinder
from _thread import _local


BUILTINS = __builtins__  # a dict: the builtins of the worker's modules
modules = sys.modules


def private(module):
    """A copy of a module as it is now. The functions in it still use the module itself."""
    copy = type(sys)(module.__name__)
    copy.__dict__.update(vars(module))
    return copy


class Finder:
    """Finds the modules of the package concert, which have no files. For a thread that is within own,
    it finds all others where the standard library is."""

    def __init__(self, parts, path):
        self.parts = parts  # by name: the source text
        self.ours = {"sys": sys, "builtins": builtins}  # by name: those, and the modules of the package concert
        self.path = path
        self.local = _local()
        self.imported_asyncio = None  # is called when a task has imported asyncio

    def find_spec(self, name, path=None, target=None):
        if name in self.parts:
            return ModuleSpec(name, self, origin="<%s>" % name)
        if path is None and getattr(self.local, "own", False):
            return PathFinder.find_spec(name, self.path)
        if name == "asyncio" and path is None and self.imported_asyncio is not None:
            return self.watched(PathFinder.find_spec(name))
        return None

    def watched(self, spec):
        """A spec whose module makes imported_asyncio be called."""
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
        self.ours[name] = module
        self.local.own, before = True, getattr(self.local, "own", False)
        module.__dict__["__builtins__"] = BUILTINS
        try:
            exec(compile(self.parts[name], "<%s>" % name, "exec"), module.__dict__)
        finally:
            self.local.own = before


def own(name):
    """Imports a module for the worker's own use."""
    module = modules.get(name)
    if module is not None:
        return module
    restore()
    local = finder.local
    local.own, before = True, getattr(local, "own", False)
    try:
        __import__(name)
    finally:
        local.own = before
    return modules[name]


def loaded(name):
    """Returns a module of the package concert, or None if it was not imported."""
    return finder.ours.get(name)


def restore():
    """Puts the worker's modules back where imports look for them. A task may have removed them. A second sys
    would lack what the interpreter adds to the first, and break imports."""
    for name, module in list(finder.ours.items()):
        if modules.get(name) is not module:
            modules[name] = module


def install(parts, path):
    """Makes the package concert importable. Tasks can import it, too."""
    global finder
    finder = Finder(parts, path)
    for name in "concert", "concert.imports":
        finder.ours[name] = modules[name]
    sys.meta_path.insert(0, finder)
