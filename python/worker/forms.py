"""Decodes forms. A form is a tuple that begins with Ellipsis, for a value whose type marshal does not support.

The file marshal.go of package python lists the forms. This module makes the values of forms in an argument. If a
form needs a module, it imports the module when it finds such a form."""

import array
import sys

from concert.imports import modules, own, private

array = private(array)

ARRAY, NUMPY, TIME, DURATION, TEXT, ROWS, SHARED, VIEW, NUMPY_VIEW, ROWS_VIEW = range(10)


def replace_forms(v, arrays, builders):
    """Replaces the forms in v by their values, and returns v. It changes lists and dicts in place. It uses no
    recursion, so v can have any depth. The parameter builders has a function for each form."""
    root = [v]
    todo = [root]
    while todo:
        c = todo.pop()
        if type(c) is dict:
            count = c.pop(Ellipsis, None)
            if tuple in set(map(type, c)):
                entries = list(c.items())
                c.clear()
                for k, x in entries:
                    c[replace_in_key(k, arrays, builders)] = x
            if count is not None and len(c) != count:
                raise ValueError("%s: two keys of the map are the same in Python" % where(root[0], c))
            entries = c.items()
        else:
            entries = enumerate(c)
        for k, x in entries:
            t = type(x)
            if t is tuple:
                if x and x[0] is Ellipsis:
                    c[k] = builders[x[1]](arrays, *x[2:])
            elif t is list or t is dict:
                todo.append(x)
    return root[0]


def where(root, c):
    """Returns the path of a container in an argument, for errors."""
    todo = [(root, ())]
    while todo:
        x, path = todo.pop()
        if x is c:
            break
        for k, y in x.items() if type(x) is dict else enumerate(x):
            if type(y) is dict or type(y) is list:
                todo.append((y, (path, k)))
    keys = []
    while path:
        path, k = path
        keys.append("[%.80r]" % (k,))
    return "the argument" + "".join(keys[:-13:-1]) + ("..." if len(keys) > 12 else "")


def replace_in_key(k, arrays, builders):
    if type(k) is not tuple:
        return k
    if k and k[0] is Ellipsis:
        return builders[k[1]](arrays, *k[2:])
    return tuple([replace_in_key(x, arrays, builders) for x in k])


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
    return ndarray(arrays, dtype, shape, offset, bytearray)


def ndarray(arrays, dtype, shape, offset, copy=memoryview):
    """Returns an array of numpy. The function copy gets the memory of the array, and the result refers to the
    memory that copy returns."""
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
    a = numpy.frombuffer(copy(arrays[offset : offset + size]), dtype).reshape(shape)
    return a.astype(dtype.newbyteorder("="), copy=False)


zones = {}  # by offset and name


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
    """Adds the classes for times with nanoseconds to the module concert, and returns this module."""
    concert = modules["concert"]
    if not hasattr(concert, "Datetime"):
        datetime = own("datetime")

        class Datetime(datetime.datetime):
            """A datetime with an attribute nanosecond, from 1 to 999. Arithmetic and comparison ignore it."""

            nanosecond = 0

            def __reduce_ex__(self, protocol):
                return super().__reduce_ex__(protocol)[:2] + ({"nanosecond": self.nanosecond},)

        class Timedelta(datetime.timedelta):
            """A timedelta with an attribute nanoseconds, from 1 to 999. Arithmetic and comparison ignore it."""

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
