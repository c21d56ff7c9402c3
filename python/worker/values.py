"""Values, as they are on the wire: a kind, and bytes."""

import array
import marshal
import struct
import sys

from concert.errors import type_name

FOREIGN = 17
SAMPLE = {"a": [None, True, False, -1, 1 << 40, 0.5, b"\x00", "\u00e9"], "b": ()}
SAMPLE_BYTES = (
    b"{u\x01\x00\x00\x00a[\x08\x00\x00\x00NTFi\xff\xff\xff\xffl\x03\x00\x00\x00\x00\x00\x00\x00\x00\x04"
    b"g\x00\x00\x00\x00\x00\x00\xe0?s\x01\x00\x00\x00\x00u\x02\x00\x00\x00\xc3\xa9u\x01\x00\x00\x00b(\x00\x00\x00\x000"
)

# Kinds of numbers in a row: of the wire, and the typecode of array.
TYPECODES = {3: "b", 4: "h", 5: "i", 6: "q", 7: "H", 8: "I", 9: "Q", 10: "f", 11: "d"}
KINDS = {"b": 3, "h": 4, "H": 7, "f": 10, "d": 11}
for code in "ilq":
    KINDS[code] = {4: 5, 8: 6}[struct.calcsize(code)]
for code in "ILQ":
    KINDS[code] = {4: 8, 8: 9}[struct.calcsize(code)]

DOUBLE = struct.Struct("<d")
INT64 = struct.Struct("<q")


def check():
    """Raises an error if this Python writes another format than the pool reads."""
    if marshal.dumps(SAMPLE, 2) != SAMPLE_BYTES:
        raise RuntimeError("the marshal module of Python %s writes another format than version 2" % sys.version.split()[0])


def decode(kind, b):
    if kind == 13:
        return INT64.unpack(b)[0]
    if kind == FOREIGN:
        return marshal.loads(b)
    if kind == 1:
        return bytes(b)
    if kind == 2:
        return str(b, "utf-8")
    if kind in TYPECODES:
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            return numpy.frombuffer(bytearray(b), dtype=TYPECODES[kind] if kind != 6 and kind != 9 else {6: "i8", 9: "u8"}[kind])
        a = array.array(TYPECODES[kind])
        a.frombytes(b)
        if sys.byteorder == "big":
            a.byteswap()
        return a
    if kind == 12:
        return None
    if kind == 14:
        return int.from_bytes(b, "little")
    if kind == 15:
        return DOUBLE.unpack(b)[0]
    if kind == 16:
        return b[0] == 1
    raise TypeError("the argument is of a Go function: only functions of python.Func run here (kind %d)" % kind)


def encode(v):
    t = type(v)
    if t is bool:
        return 16, b"\x01" if v else b"\x00"
    if t is int:
        if -1 << 63 <= v < 1 << 63:
            return 13, INT64.pack(v)
        if 0 <= v < 1 << 64:
            return 14, v.to_bytes(8, "little")
    elif t is float:
        return 15, DOUBLE.pack(v)
    elif t is str:
        return 2, v.encode("utf-8")
    elif t is bytes:
        return 1, v
    elif t is bytearray:  # another thread may change its length, but for a view
        return 1, bytes(v) if len(v) < 1 << 16 else memoryview(v)
    elif t is memoryview or t is array.array or t.__module__ == "numpy" and t.__name__ == "ndarray":
        buffer = encode_buffer(v)
        if buffer is not None:
            return buffer
    try:
        if not is_plain(v):
            v = plain(v, "the result", 0)
        return FOREIGN, marshal.dumps(v, 2)
    except (RecursionError, ValueError):
        raise ValueError("the result is nested too deeply, or contains itself") from None


def encode_buffer(v):
    """Numbers in a row, without looking at each."""
    try:
        view = memoryview(v)
    except (TypeError, ValueError, BufferError):
        return None
    if view.ndim != 1 or not view.c_contiguous:
        return None
    code = view.format.lstrip("@=<" if sys.byteorder == "little" else "@=")
    if code == "B" or code == "c":
        return 1, view.cast("B")
    if code not in KINDS or sys.byteorder == "big":
        return None
    return KINDS[code], view.cast("B")


SCALARS = {type(None), bool, int, float, complex, str, bytes, bytearray}


def is_plain(v):
    """Whether marshal writes v as what it is. It would write whatever has a buffer, such
    as a number of numpy, as bytes. For a list of numbers this is one loop in C."""
    t = type(v)
    if t is dict:
        return is_plain(list(v)) and is_plain(list(v.values()))
    if t not in (list, tuple, set, frozenset):
        return t in SCALARS
    if set(map(type, v)) <= SCALARS:
        return True
    return all(is_plain(x) for x in v if type(x) not in SCALARS)


def plain(v, path, depth):
    """v out of what is_plain knows, or a TypeError that names what is not."""
    if depth > 900:
        raise RecursionError()
    if v is None or v is True or v is False or type(v) in (int, float, complex, str, bytes):
        return v
    if isinstance(v, (bytes, bytearray)):
        return bytes(v)
    if isinstance(v, str):
        return str.__str__(v)
    if isinstance(v, int):
        return int(v)
    if isinstance(v, float):
        return float(v)
    if isinstance(v, dict):
        return {plain(k, "a key of " + path, depth + 1): plain(x, "%s[%r]" % (path, k), depth + 1) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        items = [plain(x, "%s[%d]" % (path, i), depth + 1) for i, x in enumerate(v)]
        return tuple(items) if isinstance(v, tuple) else items
    if isinstance(v, (set, frozenset)):
        return {plain(x, "an item of " + path, depth + 1) for x in v}
    if isinstance(v, (array.array, memoryview)):
        return v.tolist()
    fields = getattr(type(v), "__dataclass_fields__", None)
    if fields is not None:
        return {k: plain(getattr(v, k), path + "." + k, depth + 1) for k in fields}
    if type(v).__module__ == "numpy" and hasattr(v, "tolist"):
        return plain(v.tolist(), path, depth + 1)
    raise TypeError("%s cannot be sent: it is of type %s; return plain data" % (path, type_name(type(v))))
