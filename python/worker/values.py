"""Encodes and decodes values: a kind, and bytes."""

import array
import marshal
import struct
import sys
from itertools import accumulate

from concert import arrays, forms, plain, times
from concert.errors import text_bytes
from concert.imports import private
from concert.plain import SCALARS

array, marshal, struct = map(private, (array, marshal, struct))
dumps = marshal.dumps

FOREIGN, EXTENDED = 17, 1
SAMPLE = {"a": [None, True, False, -1, 1 << 40, 0.5, b"\x00", "\u00e9"], "b": (Ellipsis,)}
SAMPLE_BYTES = (
    b"{u\x01\x00\x00\x00a[\x08\x00\x00\x00NTFi\xff\xff\xff\xffl\x03\x00\x00\x00\x00\x00\x00\x00\x00\x04"
    b"g\x00\x00\x00\x00\x00\x00\xe0?s\x01\x00\x00\x00\x00u\x02\x00\x00\x00\xc3\xa9u\x01\x00\x00\x00b(\x01\x00\x00\x00.0"
)

# The kinds of slices of numbers, and the typecodes of array.
TYPECODES = {3: "b", 4: "h", 5: "i", 6: "q", 7: "H", 8: "I", 9: "Q", 10: "f", 11: "d"}
KINDS = {"b": 3, "h": 4, "H": 7, "f": 10, "d": 11}
for code in "ilq":
    KINDS[code] = {4: 5, 8: 6}[struct.calcsize(code)]
for code in "ILQ":
    KINDS[code] = {4: 8, 8: 9}[struct.calcsize(code)]

SIZES = {13: 8, 14: 8, 15: 8, 16: 1}  # for each kind whose values all have the same size, this size
FORMATS = {13: "q", 14: "Q", 15: "d"}  # the formats of memoryview for numbers

DOUBLE = struct.Struct("<d")
INT64 = struct.Struct("<q")
LIST_HEAD = struct.Struct("<cI")
SMALL_DICT = 8  # up to this number of entries, a loop takes less time than is_plain


def check():
    """Raises an error if the module marshal of this interpreter does not write the format that the pool reads."""
    if marshal.dumps(SAMPLE, 2) != SAMPLE_BYTES:
        raise RuntimeError("the marshal module of Python %s writes another format than version 2" % sys.version.split()[0])


def decode(kind, b):
    if kind == 13:
        return INT64.unpack(b)[0]
    if kind == FOREIGN:
        if b[0] != EXTENDED:
            return marshal.loads(b)
        view = memoryview(b)
        end = 5 + int.from_bytes(view[1:5], "little")
        return forms.replace_forms(marshal.loads(view[5:end]), view[end:], forms.BUILDERS)
    if kind == 1:
        return bytes(b)
    if kind == 2:
        return str(b, "utf-8", "surrogateescape")
    if kind in TYPECODES:
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


def split(frame, at, count):
    """Returns the bytes of all values of a list in a frame, and the offsets in these bytes at which a value begins
    or ends. The parameter at is the offset of the list. The list begins with the kind of the values."""
    size, at = SIZES.get(frame[at]), at + 1
    if size is not None:
        return frame[at:], range(0, size * count + 1, size)
    begin = at + 2 * count
    return frame[begin:], list(accumulate(memoryview(frame)[at:begin].cast("H").tolist(), initial=0))


def decode_list(frame, at, count):
    """Decodes the values of a list in a frame. Returns None if the first value has forms. Raises an error if a
    later value has forms."""
    kind = frame[at]
    if kind in FORMATS:
        return memoryview(frame)[at + 1 :].cast(FORMATS[kind]).tolist()
    if kind == FOREIGN:
        data = memoryview(frame)[at + 1 + 2 * count :]
        if data[0] == EXTENDED:
            return None
        # The values are marshal data, so one call decodes a list with all of them. The call fails if a later value
        # has forms, because no marshal data begins with EXTENDED.
        return marshal.loads(b"".join((LIST_HEAD.pack(b"[", count), data)))
    data, ends = split(frame, at, count)
    if kind == 2 and data.isascii():
        data, kind = str(data, "ascii"), 1  # now each value is a part of a str
    parts = [data[i:j] for i, j in zip(ends, ends[1:])]
    if kind == 1:
        return parts
    return [decode(kind, b) for b in parts]


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
        b = text_bytes(v)
        if b is not None:
            return 2, b  # a text that is not UTF-8 is encoded as plain data instead, and the pool refuses it with an error
    elif t is bytes:
        return 1, v
    elif t in plain.CONTAINERS:
        return FOREIGN, marshal.dumps(v if plain.is_plain(v) else plain.plain(v), 2)
    elif t is bytearray:  # while there is a memoryview, other threads cannot change its length
        return 1, bytes(v) if len(v) < 1 << 16 else memoryview(v)
    elif t is memoryview or t is array.array or getattr(t, "__module__", "") == "numpy" and t.__name__ == "ndarray":
        buffer = encode_buffer(v) if t not in plain.hooks else None
        if buffer is not None:
            return buffer
    if t not in plain.PLAIN:
        v = plain.plain(v)
    return FOREIGN, marshal.dumps(v, 2)


def encode_dict(v):
    """Encodes a dict of plain data. Returns None for other dicts, which the function encode handles."""
    if len(v) <= SMALL_DICT:
        for k, x in v.items():
            if type(k) is not str or type(x) not in SCALARS:
                break
        else:
            return dumps(v, 2)
    return dumps(v, 2) if plain.is_plain(v) else None


def encode_buffer(v):
    """Encodes an array of one dimension as the bytes of its memory. Returns None if there is no kind for the type
    of its items."""
    try:
        view = memoryview(v)
    except (TypeError, ValueError, BufferError):
        return None
    if view.ndim != 1:
        return None
    code = view.format.lstrip("@=<" if sys.byteorder == "little" else "@=")
    if code == "B" or code == "c":
        kind = 1
    elif code not in KINDS or sys.byteorder == "big":
        return None
    else:
        kind = KINDS[code]
    return kind, view.cast("B") if view.c_contiguous else view.tobytes()
