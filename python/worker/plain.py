"""Results, as marshal can write them: plain data, and forms for what marshal does not have.

Modules times and arrays have the functions for values of those kinds."""

import sys

from concert.errors import type_name
from concert.imports import own

DEEPEST = 900
SCALARS = {type(None), bool, int, float, complex, str, bytes, bytearray}
CONTAINERS = {dict, list, tuple, set, frozenset}
PLAIN = SCALARS | CONTAINERS


class Trouble(Exception):
    """A value cannot be sent. Its path grows on the way out of what it is in."""

    def __init__(self, text):
        self.text = text
        self.path = []


def is_plain(v):
    """Whether marshal writes v as what it is. It would write whatever has a buffer, such
    as a number of numpy, as bytes. For a list of numbers this is one loop in C."""
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
    """v out of what is_plain knows and forms, or a TypeError that names what is not."""
    try:
        return convert(v, [])
    except Trouble as e:
        where = "the result" + "".join(reversed(e.path[-12:])) + ("..." if len(e.path) > 12 else "")
        raise TypeError("%s cannot be sent: %s" % (where, e.text)) from None
    except RecursionError:
        raise ValueError("the result is nested too deeply for this interpreter's recursion limit of %d" % sys.getrecursionlimit()) from None


def convert(v, trail):
    """trail lists the values that v is part of. A converter of a container calls enter, and
    removes the container at the end."""
    return (known.get(type(v)) or find(type(v)))(v, trail)


def enter(v, trail):
    if len(trail) >= DEEPEST:
        if any(x is v for x in trail):
            raise Trouble("it contains itself; return a copy without the cycle")
        raise Trouble("it is nested deeper than %d" % DEEPEST)
    trail.append(v)


known = {}  # from a type to the function that converts its values
hooks = {}  # the functions that converts has registered


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
        known.clear()  # classes that were made in passing
    known[t] = f
    return f


def converts(t):
    """Registers the function that follows to convert results of a class, and of those that are
    derived from it, at any depth:

        @concert.converts(Money)
        def plain_money(m):
            return {"amount": m.amount, "currency": m.currency}

    It returns what can be sent, or something that another such function converts."""
    if not isinstance(t, type):
        raise TypeError("converts takes a class, as in @concert.converts(Money), and not %.80r" % (t,))
    if t in PLAIN:
        raise TypeError("a %s is always sent as it is: derive a class from it, and register that" % t.__name__)

    def register(f):
        def hook(v, trail):
            enter(v, trail)
            v = convert(f(v), trail)
            trail.pop()
            return v

        hooks[t] = hook
        known.clear()
        return f

    return register


def unknown(v, trail):
    t = type(v)
    name = type_name(t) if hasattr(t, "__module__") else t.__qualname__
    raise Trouble("it is of type %s; return plain data, or register its class with concert.converts" % name)


def ambiguous(v, trail):
    kinds = [c.__name__ for c in type(v).__mro__ if c in PLAIN]
    raise Trouble("it is of type %s, which is both a dataclass and a %s; register its class with concert.converts" % (type_name(type(v)), kinds[0]))


def same(v, trail):
    return v


def convert_list(v, trail):
    enter(v, trail)
    out = []
    try:
        for x in v:
            t = type(x)
            out.append(x if t in SCALARS else (known.get(t) or find(t))(x, trail))
    except Trouble as e:
        e.path.append("[%d]" % len(out))
        raise
    trail.pop()
    return out if not isinstance(v, tuple) else tuple(out)


def convert_set(v, trail):
    enter(v, trail)
    out = set()
    try:
        for x in v:
            n = len(out)
            out.add(convert(x, trail))
            if len(out) == n:
                raise Trouble("another item, %.80r, is the same when it is sent" % (x,))
    except Trouble as e:
        e.path.append("[an item]")
        raise
    trail.pop()
    return out


def convert_dict(v, trail):
    enter(v, trail)
    out, at = {}, None
    try:
        for k, x in v.items():
            at = None
            key = convert(k, trail)
            if key in out:
                raise Trouble("another key, %.80r, is the same when it is sent" % (k,))
            at = k
            t = type(x)
            out[key] = x if t in SCALARS else (known.get(t) or find(t))(x, trail)
    except Trouble as e:
        e.path.append("[a key]" if at is None else "[%.80r]" % (at,))
        raise
    trail.pop()
    return out


def convert_dataclass(v, trail):
    dataclasses = own("dataclasses")

    enter(v, trail)
    out = {}
    for f in dataclasses.fields(v):
        try:
            out[f.name] = convert(getattr(v, f.name), trail)
        except Trouble as e:
            e.path.append("." + f.name)
            raise
    trail.pop()
    return out


def convert_enum(v, trail):
    return convert(v.value, trail)


# From the module and the name of a class to the function that converts its values. Those of the builtin types
# are for derived classes, whose methods may return anything.
CONVERTERS = {
    ("builtins", "NoneType"): same,
    ("builtins", "bool"): same,
    ("builtins", "list"): convert_list,
    ("builtins", "tuple"): convert_list,
    ("builtins", "dict"): convert_dict,
    ("builtins", "set"): convert_set,
    ("builtins", "frozenset"): lambda v, trail: frozenset(convert_set(v, trail)),
    ("builtins", "str"): lambda v, trail: str.__str__(v),
    ("builtins", "bytes"): lambda v, trail: bytes.__getitem__(v, slice(None)),
    ("builtins", "bytearray"): lambda v, trail: bytes(bytearray.__getitem__(v, slice(None))),
    ("builtins", "int"): lambda v, trail: int.__int__(v),
    ("builtins", "float"): lambda v, trail: float.__float__(v),
    ("builtins", "complex"): lambda v, trail: complex.__pos__(v),
    ("enum", "Enum"): convert_enum,
    ("pandas._libs.tslibs.nattype", "NaTType"): lambda v, trail: None,
}

sys.modules["concert"].converts = converts
