"""Converts results to values that marshal can write: plain data, and forms for other values.

The modules times and arrays have the functions that convert times and arrays."""

import sys

from concert.errors import type_name
from concert.imports import own

DEEPEST = 900
SCALARS = {type(None), bool, int, float, complex, str, bytes, bytearray}
CONTAINERS = {dict, list, tuple, set, frozenset}
PLAIN = SCALARS | CONTAINERS
only_scalars = SCALARS.issuperset


class CannotSend(Exception):
    """A value cannot be sent. Each function that handles a container adds an element to the path of the value."""

    def __init__(self, text):
        self.text = text
        self.path = []


def is_plain(v):
    """Returns whether v consists only of plain data. Only then does marshal write it correctly: if another object
    has a buffer, such as a number of numpy, marshal writes bytes. For a list of numbers, this check is one loop in
    C."""
    if type(v) is not dict:
        if only_scalars(map(type, v)):
            return True
    elif only_scalars(map(type, v)) and only_scalars(map(type, v.values())):
        return True
    level = [v]
    for _ in range(DEEPEST):
        within = []
        for c in level:
            if type(c) is dict:
                kinds = set(map(type, c))
                if not kinds <= SCALARS:
                    if not kinds <= PLAIN:
                        return False
                    within += [x for x in c if type(x) in CONTAINERS]
                c = c.values()
            kinds = set(map(type, c))
            if not kinds <= SCALARS:
                if not kinds <= PLAIN:
                    return False
                within += [x for x in c if type(x) in CONTAINERS]
        if not within:
            return True
        level = within
    return False


def plain(v):
    """Returns v as plain data and forms. Raises a TypeError that names the part of v that cannot be sent."""
    try:
        return convert(v, [])
    except CannotSend as e:
        where = "the result" + "".join(reversed(e.path[-12:])) + ("..." if len(e.path) > 12 else "")
        raise TypeError("%s cannot be sent: %s" % (where, e.text)) from None
    except RecursionError:
        raise ValueError("the result is nested too deeply for this interpreter's recursion limit of %d" % sys.getrecursionlimit()) from None


def convert(v, parents):
    """Converts a part of a result. parents lists the containers that contain v. A function that converts a
    container first calls enter, which adds the container to parents. At the end, it removes the container."""
    return (known.get(type(v)) or find(type(v)))(v, parents)


def enter(v, parents):
    if len(parents) >= DEEPEST:
        if any(x is v for x in parents):
            raise CannotSend("it contains itself; return a copy without the cycle")
        raise CannotSend("it is nested deeper than %d" % DEEPEST)
    parents.append(v)


known = {}  # from a type to the function that converts its values
hooks = {}  # by class, the functions that the decorator converts has registered


def find(t):
    f = unknown
    for c in t.__mro__:
        if c in hooks:
            f = hooks[c]
            break
        f = CONVERTERS.get((getattr(c, "__module__", None), c.__qualname__), unknown)
        if f is not unknown:
            break
        if "__dataclass_fields__" in c.__dict__:
            f = convert_dataclass if PLAIN.isdisjoint(t.__mro__) else ambiguous
            break
    if len(known) > 1000:
        known.clear()  # the table must not grow without limit, because tasks may create many classes
    known[t] = f
    return f


def converts(t):
    """Registers the decorated function as the converter for a class and its derived classes, at any depth of a
    result:

        @concert.converts(Money)
        def plain_money(m):
            return {"amount": m.amount, "currency": m.currency}

    The function returns plain data, or objects that another such function converts."""
    if not isinstance(t, type):
        raise TypeError("converts takes a class, as in @concert.converts(Money), and not %.80r" % (t,))
    if t in PLAIN:
        raise TypeError("a %s is always sent as it is: derive a class from it, and register that" % t.__name__)

    def register(f):
        def hook(v, parents):
            enter(v, parents)
            v = convert(f(v), parents)
            parents.pop()
            return v

        hooks[t] = hook
        known.clear()
        return f

    return register


def unknown(v, parents):
    t = type(v)
    name = type_name(t) if hasattr(t, "__module__") else t.__qualname__
    raise CannotSend("it is of type %s; return plain data, or register its class with concert.converts" % name)


def ambiguous(v, parents):
    kinds = [c.__name__ for c in type(v).__mro__ if c in PLAIN]
    raise CannotSend("it is of type %s, which is both a dataclass and a %s; register its class with concert.converts" % (type_name(type(v)), kinds[0]))


def same(v, parents):
    return v


def convert_list(v, parents):
    enter(v, parents)
    out = []
    try:
        for x in v:
            t = type(x)
            out.append(x if t in SCALARS else (known.get(t) or find(t))(x, parents))
    except CannotSend as e:
        e.path.append("[%d]" % len(out))
        raise
    parents.pop()
    return out if not isinstance(v, tuple) else tuple(out)


def convert_set(v, parents):
    enter(v, parents)
    out = set()
    try:
        for x in v:
            n = len(out)
            out.add(convert(x, parents))
            if len(out) == n:
                raise CannotSend("another item, %.80r, is the same when it is sent" % (x,))
    except CannotSend as e:
        e.path.append("[an item]")
        raise
    parents.pop()
    return out


def convert_dict(v, parents):
    enter(v, parents)
    out, at = {}, None
    try:
        for k, x in v.items():
            at = None
            key = convert(k, parents)
            if key in out:
                raise CannotSend("another key, %.80r, is the same when it is sent" % (k,))
            at = k
            t = type(x)
            out[key] = x if t in SCALARS else (known.get(t) or find(t))(x, parents)
    except CannotSend as e:
        e.path.append("[a key]" if at is None else "[%.80r]" % (at,))
        raise
    parents.pop()
    return out


def convert_dataclass(v, parents):
    dataclasses = own("dataclasses")

    enter(v, parents)
    out = {}
    for f in dataclasses.fields(v):
        try:
            out[f.name] = convert(getattr(v, f.name), parents)
        except CannotSend as e:
            e.path.append("." + f.name)
            raise
    parents.pop()
    return out


def convert_enum(v, parents):
    return convert(v.value, parents)


# The functions that convert values, by the module and the name of the class. The functions for builtin types
# convert instances of derived classes. They call the methods of the builtin type, because a derived class can
# override them.
CONVERTERS = {
    ("builtins", "NoneType"): same,
    ("builtins", "bool"): same,
    ("builtins", "list"): convert_list,
    ("builtins", "tuple"): convert_list,
    ("builtins", "dict"): convert_dict,
    ("builtins", "set"): convert_set,
    ("builtins", "frozenset"): lambda v, parents: frozenset(convert_set(v, parents)),
    ("builtins", "str"): lambda v, parents: str.__str__(v),
    ("builtins", "bytes"): lambda v, parents: bytes.__getitem__(v, slice(None)),
    ("builtins", "bytearray"): lambda v, parents: bytes(bytearray.__getitem__(v, slice(None))),
    ("builtins", "int"): lambda v, parents: int.__int__(v),
    ("builtins", "float"): lambda v, parents: float.__float__(v),
    ("builtins", "complex"): lambda v, parents: complex.__pos__(v),
    ("enum", "Enum"): convert_enum,
    ("pandas._libs.tslibs.nattype", "NaTType"): lambda v, parents: None,
}

sys.modules["concert"].converts = converts
