"""Makes modules from the source text in calls of python.Source."""

import linecache
import sys
from binascii import crc32

from concert import errors
from concert.imports import ModuleSpec, builtins, modules


class Loader:
    """Gives the source text of a module to the modules inspect and linecache."""

    def __init__(self, text):
        self.text = text

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        pass  # load has executed the module

    def get_source(self, name):
        return self.text


def load(name, text):
    """Returns the module of a text. The text runs once in each worker. sys.modules has the module under this name,
    because pickle, dataclasses and typing find definitions there. If the name is empty, load makes a name."""
    text = dedent(text)
    name = name or "source_%08x" % crc32(text.encode("utf-8", "surrogatepass"))
    known = modules.get(name)
    if known is not None and getattr(getattr(known, "__loader__", None), "text", None) == text:
        return known
    file = "<%s>" % name
    code = compile(text, file, "exec", dont_inherit=True)
    module = type(sys)(name)
    module.__file__ = file
    module.__builtins__ = builtins  # the builtins of tasks, not the worker's copy
    module.__loader__ = Loader(text)
    module.__spec__ = ModuleSpec(name, module.__loader__, origin=file)
    lines = [line + "\n" for line in text.split("\n")]
    linecache.cache[file] = (len(text), None, lines, file)  # None means that linecache does not check a file
    errors.SOURCES.add(name)
    modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        modules.pop(name, None)
        raise
    return modules.get(name, module)


def dedent(text):
    """Removes the indentation of the text, because the text may be indented like the Go code that contains it. The
    indentation is that of the first line of code, and is removed from all lines that begin with it."""
    text = text.replace("\r\n", "\n")
    for line in text.split("\n"):
        code = line.lstrip()
        if code and not code.startswith("#"):
            margin = line[: len(line) - len(code)]
            break
    else:
        return text
    if not margin:
        return text
    n = len(margin)
    return "\n".join(line[n:] if line.startswith(margin) else line.lstrip() if not line.strip() else line for line in text.split("\n"))
