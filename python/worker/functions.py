"""Functions, by the names that they have in Go."""

import importlib
import threading

from concert.errors import type_name


class Functions:
    def __init__(self):
        self.known = {}
        self.instances = {}
        self.finding = threading.Lock()

    def find(self, name):
        """Returns a function; an import or an instance is made once, whoever needs it."""
        with self.finding:
            f = self.known.get(name)
            if f is None:
                f = self.known[name] = self.look_up(name)
            return f

    def look_up(self, name):
        """python:HOW:MODULE:NAME, or python:HOW::NAME and a line's end and source text. HOW is
        1 for one argument, 0 for none, * for those of python.Args."""
        try:
            language, how, where = name.split(":", 2)
            module, target = where.split(":", 1)
        except ValueError:
            language = ""
        if language != "python":
            raise LookupError("%r is a function of Go: only those of python.Func run here" % name)
        if module:
            found = importlib.import_module(module)
        else:
            target, source = target.split("\n", 1)
            scope = {"__name__": "__concert__"}
            exec(compile(source, "<source of %s>" % target, "exec"), scope)
            parts = target.split(".")
            if parts[0] not in scope:
                raise AttributeError("the source defines no %r" % parts[0])
            found, target = scope[parts[0]], ".".join(parts[1:])
        key = module
        for part in target.split(".") if target else ():
            key += ":" + part
            if part.endswith("()"):  # one for each worker
                if key not in self.instances:
                    self.instances[key] = getattr(found, part[:-2])()
                found = self.instances[key]
            else:
                found = getattr(found, part)
        if not callable(found):
            raise TypeError("%s is no function: it is of type %s" % (name, type_name(type(found))))
        return adapt(found, how)


async def nothing():
    pass


coroutine = nothing()
Coroutine = type(coroutine)
coroutine.close()


def adapt(f, how):
    """f with one argument, as it comes, and a result that is no coroutine."""

    def finish(result):
        if type(result) is Coroutine:
            import asyncio

            return asyncio.run(result)
        return result

    def one(a):
        result = f(a)
        return result if type(result) is not Coroutine else finish(result)

    if how == "0":
        return lambda _: finish(f())
    if how == "*":
        return lambda a: finish(f(*a.get("Args") or (), **(a.get("Kwargs") or {})))
    return one
