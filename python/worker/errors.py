"""Exceptions, as the pool is told of them."""

import struct

from concert.imports import own


class Cancelled(BaseException):
    """Raised in a task that is to end."""

    why = 0  # the reason that the pool gave; see REASONS


Cancelled.__module__ = "concert"


class Gone(Exception):
    """The pool sent what this worker does not understand."""


# By the reason that the pool gives for a cancellation: its text, and what it is in Go. Without one a task has
# raised Cancelled itself.
REASONS = {
    0: ("", ["context.Canceled", "concert.ErrCancelled"]),
    1: ("the task was canceled", ["context.Canceled", "concert.ErrCancelled"]),
    2: ("the deadline of the task has passed", ["context.DeadlineExceeded"]),
}

SOURCES = set()  # modules of python.Source, whose types are named as those of a program


def cbor_head(major, n):
    for extra, (limit, form) in enumerate(((1 << 8, ">B"), (1 << 16, ">H"), (1 << 32, ">I"))):
        if n < 24:
            return bytes([major << 5 | n])
        if n < limit:
            return bytes([major << 5 | 24 + extra]) + struct.pack(form, n)
    return bytes([major << 5 | 27]) + struct.pack(">Q", n)


def cbor(v):
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return cbor_head(0, v)
    if isinstance(v, bytes):
        return cbor_head(2, len(v)) + v
    if isinstance(v, str):
        b = text_bytes(v)
        if b is None:
            b = v.encode("utf-8", "backslashreplace")
        return cbor_head(3, len(b)) + b
    if isinstance(v, (list, tuple)):
        return cbor_head(4, len(v)) + b"".join(map(cbor, v))
    return cbor_head(5, len(v)) + b"".join(cbor(k) + cbor(x) for k, x in v.items())


def text_bytes(v):
    """The bytes of a str, which Go strings consist of: UTF-8, and the bytes that surrogates stand for; see
    text.go. None if no bytes are that str."""
    try:
        return v.encode("utf-8")
    except UnicodeEncodeError:
        pass
    try:
        b = v.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return b if b.decode("utf-8", "surrogateescape") == v else None


def type_name(t):
    if t.__module__ == "builtins" or t.__module__ in SOURCES:
        return t.__qualname__
    return t.__module__ + "." + t.__qualname__


LARGEST = 1 << 20  # bytes of an error that every pool accepts, whatever its MaxResult


def shortened(text, most):
    return text if len(text) <= most else "%s ... (%d characters more)" % (text[:most], len(text) - most)


def describe(e):
    """An exception as the pool wants it: concert's python.Error. Whatever it is made of may
    raise another one."""
    try:
        name = type_name(type(e))
        try:
            text = str(e)
        except Exception as another:
            text = "<%s whose __str__ raised %s>" % (name, type_name(type(another)))
        names = []
        if isinstance(e, Cancelled):
            reason, names = REASONS.get(e.why, REASONS[1])
            text = text or reason
        try:
            trace = format_traceback(e)
        except Exception as another:
            trace = "no traceback: formatting it raised " + type_name(type(another))
        notes = getattr(e, "__notes__", None)
        notes = [n for n in notes if isinstance(n, str)][:100] if isinstance(notes, list) else []

        def encoded(text, notes):
            fields = {
                "Type": name,
                "Message": text,
                "Traceback": trace[-(64 << 10) :],
                "Notes": notes,
                "Bases": [type_name(t) for t in type(e).__mro__[1:-1]],
            }
            short = name + (": " + text if text else "")
            return cbor({1: "python." + name, 2: short, 3: names, 4: {"python.Error": b"\x00" + cbor(fields)}})

        b = encoded(text, notes)
        if len(b) > LARGEST:
            b = encoded(shortened(text, 64 << 10), [shortened(n, 500) for n in notes])
        return b
    except Exception as another:
        name = type(e).__qualname__
        fields = {"Type": name, "Message": "an exception that raises %s when it is described" % type(another).__qualname__}
        return cbor({1: "python." + name, 2: name + ": " + fields["Message"], 4: {"python.Error": b"\x00" + cbor(fields)}})


def format_traceback(e):
    traceback = own("traceback")  # only now, as it takes its time
    tb = e.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith("<concert."):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(e), e, tb))
