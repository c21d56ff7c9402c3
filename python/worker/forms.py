"""Values that marshal does not have, as forms: tuples that begin with Ellipsis.

Package python's marshal.go lists the forms. Modules are imported when a form needs them."""

import array
import struct
import sys

from concert.errors import type_name
from concert.imports import own

ARRAY, NUMPY, TIME, DURATION, TEXT, ROWS = range(6)

DEEPEST = 900
SCALARS = {type(None), bool, int, float, complex, str, bytes, bytearray}
CONTAINERS = {dict, list, tuple, set, frozenset}
PLAIN = SCALARS | CONTAINERS


# Arguments.


def revive(v, arrays):
    """v with values in place of its forms. Lists and dicts keep their identity, so the depth of
    v does not matter."""
    root = [v]
    todo = [root]
    while todo:
        c = todo.pop()
        if type(c) is dict:
            if tuple in set(map(type, c)):
                entries = list(c.items())
                c.clear()
                for k, x in entries:
                    c[revive_key(k, arrays)] = x
            entries = c.items()
        else:
            entries = enumerate(c)
        for k, x in entries:
            t = type(x)
            if t is tuple:
                if x and x[0] is Ellipsis:
                    c[k] = build(x, arrays)
            elif t is list or t is dict:
                todo.append(x)
    return root[0]


def revive_key(k, arrays):
    if type(k) is not tuple:
        return k
    if k and k[0] is Ellipsis:
        return build(k, arrays)
    return tuple([revive_key(x, arrays) for x in k])


def build(form, arrays):
    return BUILDERS[form[1]](arrays, *form[2:])


def build_array(arrays, typecode, offset, count):
    a = array.array(typecode)
    a.frombytes(arrays[offset : offset + count * a.itemsize])
    if sys.byteorder == "big":
        a.byteswap()
    return a


def build_rows(arrays, typecode, offset, counts):
    rows = []
    size = array.array(typecode).itemsize
    for n in counts:
        if n < 0:
            rows.append(None)
            continue
        row = array.array(typecode, bytes(arrays[offset : offset + n * size]))
        if sys.byteorder == "big":
            row.byteswap()
        rows.append(row)
        offset += n * size
    return rows


def build_numpy(arrays, dtype, shape, offset):
    try:
        import numpy
    except ImportError as e:
        raise ImportError("the argument has a python.Array, and this interpreter has no numpy: %s" % e) from None
    dtype = numpy.dtype("<" + dtype)
    size = dtype.itemsize
    for n in shape:
        size *= n
    if size == 0:
        return numpy.empty(shape, dtype.newbyteorder("="))
    a = numpy.frombuffer(bytearray(arrays[offset : offset + size]), dtype).reshape(shape)
    return a.astype(dtype.newbyteorder("="), copy=False)


zones = {}  # of offsets and names


def build_time(arrays, year, month, day, hour, minute, second, microsecond, nanosecond, offset, name):
    datetime = own("datetime")

    zone = zones.get((offset, name))
    if zone is None and offset is not None:
        if offset == 0 and name == "UTC":
            zone = datetime.timezone.utc
        else:
            zone = datetime.timezone(datetime.timedelta(seconds=offset), name)
        if len(zones) < 1000:
            zones[offset, name] = zone
    if nanosecond == 0:
        return datetime.datetime(year, month, day, hour, minute, second, microsecond, zone)
    t = precise().Datetime(year, month, day, hour, minute, second, microsecond, zone)
    t.nanosecond = nanosecond
    return t


def build_duration(arrays, days, seconds, microseconds, nanoseconds):
    datetime = own("datetime")

    if nanoseconds == 0:
        return datetime.timedelta(days, seconds, microseconds)
    d = precise().Timedelta(days, seconds, microseconds)
    d.nanoseconds = nanoseconds
    return d


def precise():
    """The module concert, with classes for times that have nanoseconds."""
    concert = sys.modules["concert"]
    if not hasattr(concert, "Datetime"):
        datetime = own("datetime")

        class Datetime(datetime.datetime):
            """A datetime with an attribute nanosecond, 1 to 999, which arithmetic and comparison leave out."""

            nanosecond = 0

            def __reduce_ex__(self, protocol):
                return super().__reduce_ex__(protocol)[:2] + ({"nanosecond": self.nanosecond},)

        class Timedelta(datetime.timedelta):
            """A timedelta with an attribute nanoseconds, 1 to 999, which arithmetic and comparison leave out."""

            nanoseconds = 0

            def __reduce__(self):
                return super().__reduce__()[:2] + ({"nanoseconds": self.nanoseconds},)

        for c in Datetime, Timedelta:
            c.__module__, c.__qualname__ = "concert", c.__name__
            setattr(concert, c.__name__, c)
    return concert


def build_text(arrays, kind, text):
    if kind == "date" or kind == "time":
        datetime = own("datetime")

        return getattr(datetime, kind).fromisoformat(text)
    if kind == "Decimal":
        decimal = own("decimal")

        return decimal.Decimal(text)
    if kind == "Fraction":
        fractions = own("fractions")

        return fractions.Fraction(*[int(n, 16) for n in text.split("/")])
    if kind == "UUID":
        uuid = own("uuid")

        return uuid.UUID(text)
    pathlib = own("pathlib")

    path = pathlib.Path(text)
    if str(path) != text:
        raise ValueError("the argument has a python.Path %r, which pathlib writes as %r" % (text, str(path)))
    return path


BUILDERS = {ARRAY: build_array, NUMPY: build_numpy, TIME: build_time, DURATION: build_duration, TEXT: build_text, ROWS: build_rows}


# Results.


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
            raise Trouble("it contains itself")
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
    raise Trouble("it is of type %s, a dataclass and a %s; register its class with concert.converts" % (type_name(type(v)), kinds[0]))


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


# Times and text.


def convert_datetime(v, trail):
    offset, name = v.utcoffset(), None
    if offset is None:
        if v.tzinfo is not None:
            raise Trouble("its zone, %s, has no offset" % v.tzinfo)
        if v.fold:
            raise Trouble("it is a datetime without a zone that has fold=1, which no time of Go has; give it a zone")
    else:
        if offset.microseconds:
            raise Trouble("the offset of its zone, %s, has a fraction of a second" % offset)
        offset, name = offset.days * 86400 + offset.seconds, v.tzname() or ""
    return (Ellipsis, TIME, v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, extra(v, "nanosecond"), offset, name)


def convert_timedelta(v, trail):
    return Ellipsis, DURATION, v.days, v.seconds, v.microseconds, extra(v, "nanoseconds")


def extra(v, name):
    """The nanoseconds that a derived class has beyond the microseconds of its base."""
    n = getattr(v, name, 0)
    if type(n) is not int or not 0 <= n < 1000:
        raise Trouble("its attribute %s is %.80r, and not an int from 0 to 999" % (name, n))
    return n


def convert_time(v, trail):
    if v.tzinfo is not None and v.utcoffset() is None:
        raise Trouble("its zone, %s, has no offset without a date" % v.tzinfo)
    if v.fold and v.tzinfo is None:
        raise Trouble("it is a time without a zone that has fold=1, which python.TimeOfDay does not have")
    return Ellipsis, TEXT, "time", own("datetime").time.isoformat(v)


# A derived class may have a __str__ and an isoformat of its own: the text is that of the base.


def convert_date(v, trail):
    return Ellipsis, TEXT, "date", own("datetime").date.isoformat(v)


def convert_decimal(v, trail):
    # A context may ask for a small e.
    return Ellipsis, TEXT, "Decimal", own("decimal").Decimal.__str__(v).replace("e", "E")


def convert_uuid(v, trail):
    return Ellipsis, TEXT, "UUID", own("uuid").UUID.__str__(v)


def convert_path(v, trail):
    pathlib = own("pathlib")

    here = type(pathlib.PurePath())
    if not isinstance(v, here):
        raise Trouble("it is of type %s, and the paths of this system are of type %s; return its str" % (type_name(type(v)), here.__name__))
    return Ellipsis, TEXT, "Path", here.__str__(v)


def convert_fraction(v, trail):
    return Ellipsis, TEXT, "Fraction", "%x/%x" % (v.numerator, v.denominator)  # decimal digits have a limit


# Arrays.

FORMATS = {"?": "b1", "c": "u1", "B": "u1", "b": "i1", "f": "f4", "d": "f8", "Zf": "c8", "Zd": "c16"}
for code in "hilq":
    FORMATS[code] = "i%d" % struct.calcsize(code)
    FORMATS[code.upper()] = "u%d" % struct.calcsize(code)


def convert_buffer(v, trail):
    """A memoryview, or an array of the module array."""
    view = memoryview(v)
    dtype = FORMATS.get(view.format.lstrip("@=<" if sys.byteorder == "little" else "@"))
    if dtype is None or sys.byteorder == "big":
        try:
            items = v.tolist()
        except NotImplementedError:
            raise Trouble("it is a memoryview of format %r" % view.format) from None
        return convert(items, trail)
    if dtype == "u1" and view.ndim == 1:
        return view.tobytes()
    return Ellipsis, NUMPY, dtype, view.shape, view if view.c_contiguous else view.tobytes()


def convert_ndarray(v, trail):
    import numpy

    kind = v.dtype.kind
    if kind in "OUST":
        return convert(v.tolist(), trail)
    if kind == "V":
        if v.ndim == 0:
            return convert_void(v[()], trail)
        return convert_list(v, trail)
    shape, v = v.shape, numpy.asarray(v)
    dtype = v.dtype
    if kind in "mM":
        v, name = with_unit(numpy, v)
    elif kind == "f" and dtype.itemsize == 2:
        v, name = v.astype("f4"), "f4"
    elif kind in "biufc":
        name = "%s%d" % (kind, dtype.itemsize)
        too_wide(dtype)
    else:
        raise Trouble("it is an array of dtype %s" % dtype)
    v = v.astype(v.dtype.newbyteorder("<"), order="C", copy=False)
    if kind in "mM":
        v = v.view("<i8")
    return Ellipsis, NUMPY, name, shape, memoryview(v) if shape else v.tobytes()  # which may be a key


def too_wide(dtype):
    if dtype.itemsize > {"f": 8, "c": 16}.get(dtype.kind, 8):
        raise Trouble("it is of dtype %s, which has more digits than any number of Go; convert it with astype, or float()" % dtype)


UNITS = {"W": "s", "D": "s", "h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns", "ps": "ns", "fs": "ns", "as": "ns"}


def with_unit(numpy, v):
    """An array of times or durations in a unit that Go can read, and the name of its dtype."""
    unit, count = numpy.datetime_data(v.dtype)
    to = UNITS.get(unit)
    if to is None and unit in "YM" and v.dtype.kind == "M":
        to = "s"
    if to is None and numpy.isnat(v).all():
        to = "ns"
    if to is None:
        raise Trouble("it is of dtype %s, whose unit has no fixed length" % v.dtype)
    name = "%s8[%s]" % (v.dtype.kind, to)
    out = v.astype(name)
    if not numpy.array_equal(out.astype(v.dtype).view("i8"), v.view("i8")):
        raise Trouble("a value of dtype %s is not a whole number of %s, or too large" % (v.dtype, "nanoseconds" if to == "ns" else to))
    return out, name


def convert_masked(v, trail):
    """A masked array of numpy: None where it is masked."""
    import numpy

    if not numpy.ma.is_masked(v):
        return convert(numpy.asarray(v), trail)
    if v.dtype.kind in "mMV":
        raise Trouble("it is a masked array of dtype %s" % v.dtype)
    too_wide(v.dtype)
    return convert(v.tolist(), trail)


def convert_scalar(v, trail):
    """A number of numpy that is not in an array."""
    kind = v.dtype.kind
    if kind == "b":
        return bool(v)
    if kind in "iu":
        return int(v)
    if kind in "fc":
        too_wide(v.dtype)
        return float(v) if kind == "f" else complex(v)
    import numpy

    if kind in "mM":
        return convert(numpy.asarray(v), trail)
    return unknown(v, trail)


def convert_void(v, trail):
    """A structure of numpy."""
    if v.dtype.names is None:
        return v.tobytes()
    out = []
    for name in v.dtype.names:
        try:
            out.append(convert(v[name], trail))
        except Trouble as e:
            e.path.append("[%r]" % name)
            raise
    return tuple(out)


# Those of the builtin types are for derived classes, whose methods may return anything.
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
    ("builtins", "memoryview"): convert_buffer,
    ("array", "array"): convert_buffer,
    ("enum", "Enum"): convert_enum,
    ("datetime", "datetime"): convert_datetime,
    ("datetime", "date"): convert_date,
    ("datetime", "time"): convert_time,
    ("datetime", "timedelta"): convert_timedelta,
    ("decimal", "Decimal"): convert_decimal,
    ("fractions", "Fraction"): convert_fraction,
    ("uuid", "UUID"): convert_uuid,
    ("pathlib", "PurePath"): convert_path,
    ("pathlib._local", "PurePath"): convert_path,
    ("numpy", "ndarray"): convert_ndarray,
    ("numpy", "generic"): convert_scalar,
    ("numpy", "void"): convert_void,
    ("numpy.ma.core", "MaskedArray"): convert_masked,
    ("numpy.ma", "MaskedArray"): convert_masked,
    ("pandas._libs.tslibs.nattype", "NaTType"): lambda v, trail: None,
}

sys.modules["concert"].converts = converts
