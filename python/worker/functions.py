"""Finds Python functions by the names that they have in Go."""

import importlib
import threading

from concert.errors import type_name
from concert.imports import own, private, restore

importlib, threading = map(private, (importlib, threading))


class Functions:
    def __init__(self):
        self.known = {}
        self.direct = {}  # as known, but without streams; the caller must pass the result of the function to finish
        self.instances = {}
        self.finding = threading.Lock()

    def find(self, name):
        """Returns the function with that name. Only one thread at a time can import modules and make instances."""
        with self.finding:
            f = self.known.get(name)
            if f is None:
                f = self.known[name] = self.look_up(name)
            return f

    def look_up(self, name):
        """Finds the function of a name:

            python:HOW:MODULE:NAME             a function of a module
            python:HOW:MODULE:NAME\\nTEXT       a function of python.Source; MODULE may be empty

        HOW is 1 for one argument, 0 for no argument, or * for the arguments in a python.Args. For a python.Stream,
        HOW also has an s at its end."""
        restore()
        try:
            language, how, where = name.split(":", 2)
            module, target = where.split(":", 1)
        except ValueError:
            language = ""
        if language != "python":
            raise LookupError("%r is a function of Go: only functions of python.Func run here" % name)
        target, line, text = target.partition("\n")
        if line:
            from concert import sources

            found = sources.load(module, text)
            module = found.__name__
        else:
            found = import_module(module, name)
        parts = target.split(".") if target.count("(") == target.count("()") else split(target)
        if line and not hasattr(found, parts[0].partition("(")[0]):
            raise AttributeError("the source defines no %r" % parts[0].partition("(")[0])
        key = module
        for part in parts:
            key += ":" + part
            if part.endswith(")"):  # a call; each worker executes it once
                if key not in self.instances:
                    made, _, arguments = part[:-1].partition("(")
                    self.instances[key] = construct(getattr(found, made), arguments)
                found = self.instances[key]
            else:
                found = getattr(found, part)
        if not callable(found):
            raise TypeError("%s:%s is no function: it is of type %s" % (module, target, type_name(type(found))))
        f = adapt(found, how[0])
        if how.endswith("s"):
            from concert import streams, worker

            return lambda a: streams.stream(f(a["arg"]), a["path"], worker.current)
        self.direct[name] = found if how == "1" else f
        return f


def import_module(module, name):
    """Imports a module for the function with the given name. If the import fails, the text of the ImportError
    contains this name."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        if type(e) in (ImportError, ModuleNotFoundError) and type(e.msg) is str:
            e.msg = "cannot import the module of %s: %s" % (name, e.msg)
        raise


def split(target):
    """Returns the parts of a name, which dots separate. A part may be a call, and dots in the arguments of the call
    do not count."""
    ast = own("ast")
    try:
        node = ast.parse(target, mode="eval").body
    except SyntaxError as e:
        raise ValueError("%s is no name of a function: %s" % (target, e)) from None
    parts = []
    while True:
        suffix = ""
        if isinstance(node, ast.Call):
            given = ["*" for a in node.args if isinstance(a, ast.Starred)] + ["**" for k in node.keywords if k.arg is None]
            if given:
                raise ValueError("%s: only literals can be arguments" % target)
            values = [repr(literal(a, target)) for a in node.args]
            values += ["%s=%r" % (k.arg, literal(k.value, target)) for k in node.keywords]
            suffix = "(%s)" % ", ".join(values)
            node = node.func
        if isinstance(node, ast.Attribute):
            parts.append(node.attr + suffix)
            node = node.value
        elif isinstance(node, ast.Name):
            parts.append(node.id + suffix)
            return parts[::-1]
        else:
            raise ValueError("%s is no name of a function: want names with dots between them; a name may be called with literals" % target)


def literal(node, target):
    ast = own("ast")
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError("%s: only literals can be arguments" % target) from None


def construct(f, arguments):
    """Calls f. The parameter arguments is a text in the form that the function split returns."""
    if not arguments.strip():
        return f()
    ast = own("ast")
    call = ast.parse("f(%s)" % arguments, mode="eval").body
    return f(*map(ast.literal_eval, call.args), **{k.arg: ast.literal_eval(k.value) for k in call.keywords})


PLAIN = {type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict}


def finish(result):
    """Returns the result of a function. If the function has returned a coroutine, finish runs the coroutine and
    returns its result."""
    if type(result) not in PLAIN and hasattr(type(result), "__await__"):
        return own("concert.coroutines").run(result)
    return result


def adapt(f, how):
    """Returns a function that has one parameter and calls f. The parameter how is the part HOW of a name (see
    look_up), and determines the arguments of f. If f returns a coroutine, the returned function runs the
    coroutine."""

    def one(a):
        result = f(a)
        return result if type(result) in PLAIN else finish(result)

    if how == "0":
        return lambda _: finish(f())
    if how == "*":
        return lambda a: finish(f(*a.get("Args") or (), **(a.get("Kwargs") or {})))
    return one
