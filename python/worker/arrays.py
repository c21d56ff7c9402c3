"""Converts arrays in results to forms."""

import struct
import sys

from concert.forms import NUMPY
from concert.plain import CONVERTERS, CannotSend, convert, convert_list, unknown

FORMATS = {"?": "b1", "c": "u1", "B": "u1", "b": "i1", "f": "f4", "d": "f8", "Zf": "c8", "Zd": "c16"}
for code in "hilq":
    FORMATS[code] = "i%d" % struct.calcsize(code)
    FORMATS[code.upper()] = "u%d" % struct.calcsize(code)


def convert_buffer(v, parents):
    """Converts a memoryview or an array.array."""
    view = memoryview(v)
    dtype = FORMATS.get(view.format.lstrip("@=<" if sys.byteorder == "little" else "@"))
    if dtype is None or sys.byteorder == "big":
        try:
            items = v.tolist()
        except NotImplementedError:
            raise CannotSend("it is a memoryview of format %r, which no Go type can hold; return bytes, or cast it" % view.format) from None
        return convert(items, parents)
    if dtype == "u1" and view.ndim == 1:
        return view.tobytes()
    return Ellipsis, NUMPY, dtype, view.shape, view if view.c_contiguous else view.tobytes()


def convert_ndarray(v, parents):
    import numpy

    kind = v.dtype.kind
    if kind in "OUST":
        return convert(v.tolist(), parents)
    if kind == "V":
        if v.ndim == 0:
            return convert_void(v[()], parents)
        return convert_list(v, parents)
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
        raise CannotSend("it is an array of dtype %s, which no Go type can hold; return a.tolist(), or convert it with astype" % dtype)
    v = v.astype(v.dtype.newbyteorder("<"), order="C", copy=False)
    if kind in "mM":
        v = v.view("<i8")
    return Ellipsis, NUMPY, name, shape, memoryview(v) if shape else v.tobytes()  # bytes, because a key of a dict must be hashable


def too_wide(dtype):
    if dtype.itemsize > {"f": 8, "c": 16}.get(dtype.kind, 8):
        raise CannotSend("it is of dtype %s, which has more digits than any type of Go; convert it with astype, or float()" % dtype)


UNITS = {"W": "s", "D": "s", "h": "s", "m": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns", "ps": "ns", "fs": "ns", "as": "ns"}


def with_unit(numpy, v):
    """Converts an array of times or durations to a unit that Go can read. Returns the new array and the name of its
    dtype."""
    unit, count = numpy.datetime_data(v.dtype)
    to = UNITS.get(unit)
    if to is None and unit in "YM" and v.dtype.kind == "M":
        to = "s"
    if to is None and numpy.isnat(v).all():
        to = "ns"
    if to is None:
        raise CannotSend("it is of dtype %s, whose unit has no fixed length; convert it with astype, for example to days" % v.dtype)
    name = "%s8[%s]" % (v.dtype.kind, to)
    out = v.astype(name)
    if not numpy.array_equal(out.astype(v.dtype).view("i8"), v.view("i8")):
        raise CannotSend("a value of dtype %s is not a whole number of %s, or too large" % (v.dtype, "nanoseconds" if to == "ns" else to))
    return out, name


def convert_masked(v, parents):
    """Converts a masked array of numpy. A masked item becomes None."""
    import numpy

    if not numpy.ma.is_masked(v):
        return convert(numpy.asarray(v), parents)
    if v.dtype.kind in "mMV":
        raise CannotSend("it is a masked array of dtype %s; return a.filled(), or the array and the mask" % v.dtype)
    return convert(v.tolist(), parents)


def convert_scalar(v, parents):
    """Converts a number of numpy that is not in an array."""
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
        return convert(numpy.asarray(v), parents)
    return unknown(v, parents)


def convert_void(v, parents):
    """Converts a structure of numpy to a tuple, or to bytes if it has no fields."""
    if v.dtype.names is None:
        return v.tobytes()
    out = []
    for name in v.dtype.names:
        try:
            out.append(convert(v[name], parents))
        except CannotSend as e:
            e.path.append("[%r]" % name)
            raise
    return tuple(out)


CONVERTERS.update(
    {
        ("builtins", "memoryview"): convert_buffer,
        ("array", "array"): convert_buffer,
        ("numpy", "ndarray"): convert_ndarray,
        ("numpy", "generic"): convert_scalar,
        ("numpy", "void"): convert_void,
        ("numpy.ma.core", "MaskedArray"): convert_masked,
        ("numpy.ma", "MaskedArray"): convert_masked,
    }
)
