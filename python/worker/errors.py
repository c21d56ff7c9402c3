"""Encodes exceptions for the pool."""

import struct

from concert.imports import own, private

struct = private(struct)


class Canceled(BaseException):
    """Raised in a task that is canceled."""

    why = 0  # the reason, a key of REASONS


Canceled.__module__ = "concert"


class ProtocolError(Exception):
    """The pool has sent an invalid frame."""


# For each reason of a cancellation: the text, and the names of the corresponding errors in Go. The reason is 0 if
# the task itself has raised Canceled.
REASONS = {
    0: ("", ["context.Canceled", "concert.ErrCanceled"]),
    1: ("the task was canceled", ["context.Canceled", "concert.ErrCanceled"]),
    2: ("the deadline of the task has passed", ["context.DeadlineExceeded"]),
}

SOURCES = set()  # modules of python.Source; their names are not a part of the names of types


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
    """Returns the bytes of the Go string that corresponds to a str: UTF-8, in which a byte replaces each surrogate;
    see text.go. Returns None if no Go string corresponds to the str."""
    try:
        return v.encode("utf-8")
    except UnicodeEncodeError:
        pass
    try:
        b = v.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return b if b.decode("utf-8", "surrogateescape") == v else None


# These functions read the attributes that Python itself has set in a class. A metaclass may define other attributes
# with the same names.
module_of = type.__dict__["__module__"].__get__
qualname_of = type.__dict__["__qualname__"].__get__
mro_of = type.__dict__["__mro__"].__get__


def exact(text):
    """Returns the text as an instance of str itself, because a derived class may override methods."""
    return text if type(text) is str else str.__str__(text)


def derives(t, base):
    """Returns whether class t derives from class base. Unlike isinstance, it does not use the attribute __class__,
    because a class can override this attribute."""
    return any(c is base for c in mro_of(t))


def type_name(t):
    """Returns the name of a class. It runs no code of the class or its metaclass."""
    name = exact(qualname_of(t))
    try:
        module = exact(module_of(t))
    except (AttributeError, TypeError):
        return name  # the class has no module, or its module is not a str
    return name if module == "builtins" or module in SOURCES else module + "." + name


LARGEST = 1 << 20  # maximum size of an error in bytes; every pool accepts errors of this size


def shortened(text, most):
    return text if len(text) <= most else "%s ... (%d characters more)" % (text[:most], len(text) - most)


def describe(e, why=0, interrupted=False):
    """Returns an exception as an encoded python.Error of Go. If the exception is Canceled, the parameter why is its
    reason.

    If a method of the exception raises another exception, of any class, the result contains the name of that class.
    If interrupted is true, a cancellation may raise Canceled while describe runs. In this case, describe raises
    Canceled, too."""
    name = type_name(type(e))
    try:
        return describe_all(e, name, why)
    except BaseException as another:
        if interrupted and derives(type(another), Canceled):
            raise
        text = "an exception that raises %s when it is described" % type_name(type(another))
        fields = {"Type": name, "Message": text, "Bases": bases(e)}
        return cbor({1: "python." + name, 2: name + ": " + text, 4: {"python.Error": b"\x00" + cbor(fields)}})


def bases(e):
    return [type_name(t) for t in mro_of(type(e))[1:-1]]


def describe_all(e, name, why):
    names = []
    text = guarded(lambda: exact(str(e)), "<%s whose __str__ raised %%s>" % name)
    if derives(type(e), Canceled):
        reason, names = REASONS.get(why, REASONS[1])
        text = text or reason
    trace = guarded(lambda: format_traceback(e), "no traceback: formatting it raised %s")
    notes = getattr(e, "__notes__", None)
    notes = [exact(n) for n in notes[:100] if derives(type(n), str)] if type(notes) is list else []

    def encoded(text, notes):
        fields = {
            "Type": name,
            "Message": text,
            "Traceback": trace[-(64 << 10) :],
            "Notes": notes,
            "Bases": bases(e),
        }
        short = name + (": " + text if text else "")
        return cbor({1: "python." + name, 2: short, 3: names, 4: {"python.Error": b"\x00" + cbor(fields)}})

    b = encoded(text, notes)
    if len(b) > LARGEST:
        b = encoded(shortened(text, 64 << 10), [shortened(n, 500) for n in notes])
    return b


def guarded(text, otherwise):
    """Calls the function text, and returns its result. If text raises an exception, the result is the format
    otherwise, in which the name of the exception's class is inserted."""
    try:
        return text()
    except Canceled:
        raise
    except BaseException as another:
        return otherwise % type_name(type(another))


def format_traceback(e):
    traceback = own("traceback")  # imported only here, because the import is slow
    tb = traceback_of(e)
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith("<concert."):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(e), e, tb))


traceback_of = BaseException.__dict__["__traceback__"].__get__
