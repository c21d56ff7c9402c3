"""The functions of package executortest in Python, so that the cases of executortest can test the worker.

When a worker imports this module, it can find the functions by their names
in Go, and can decode and encode Go values."""

import array
import itertools
import os
import struct
import threading
import time

import concert
from concert import errors, functions, shared as shared_values, values, worker


def uncbor(b, at=0):
    """Decodes the CBOR value that begins at b[at]. Returns the value and the position after it."""
    major, n = b[at] >> 5, b[at] & 31
    at += 1
    if n > 23:
        size = 1 << n - 24
        n = int.from_bytes(b[at : at + size], "big")
        at += size
    if major == 0:
        return n, at
    if major == 1:
        return -1 - n, at
    if major in (2, 3):
        v = bytes(b[at : at + n])
        return (v if major == 2 else v.decode()), at + n
    if major == 4:
        items = []
        for _ in range(n):
            v, at = uncbor(b, at)
            items.append(v)
        return items, at
    if major == 5:
        pairs = {}
        for _ in range(n):
            k, at = uncbor(b, at)
            pairs[k], at = uncbor(b, at)
        return pairs, at
    if major == 6:
        return uncbor(b, at)
    return {20: False, 21: True}.get(n), at


here = threading.local()  # left: the time until the deadline of this thread's calls; argument: the argument of the thread's last call


class Encoded(tuple):
    """An encoded value: its kind and its bytes."""


def decode(kind, b, before=values.decode):
    here.argument = Encoded((kind, bytes(b)))
    try:
        return uncbor(bytes(b))[0] if kind == 0 else before(kind, b)
    except (UnicodeDecodeError, TypeError):
        return None  # text that is not UTF-8, or a list as a key: only echo gets such values, and returns here.argument


def encode(v, before=values.encode):
    if type(v) is Encoded:
        return v
    return (0, errors.cbor(v)) if type(v) is list else before(v)


class Failure(Exception):
    """An error of Go. Its argument is a dict with the fields of the encoded error."""


def describe(e, *how, before=errors.describe):
    return errors.cbor(e.args[0]) if type(e) is Failure else before(e, *how)


numbers = itertools.count()


def hold(gate, stubborn=False):
    """Waits until the file that opens the gate exists, or the task is
    canceled. The exception Canceled is raised once, between any two steps.
    So it must be possible to repeat each step."""
    entered, left = ("%s.%s.%d-%d" % (gate["Path"], what, os.getpid(), next(numbers)) for what in ("in", "out"))
    canceled = False
    while True:
        try:
            if stubborn or not canceled:
                open(entered, "w").close()
                while not os.path.exists(gate["Path"] + ".open"):
                    time.sleep(0.001)
            if os.path.exists(entered):
                open(left, "w").close()
            break
        except concert.Canceled:
            canceled = True
    if canceled and not stubborn:
        raise concert.Canceled()
    return "passed"


def stubborn(gate):
    return hold(gate, stubborn=True)


def fail(how):
    if how == "error":
        raise Failure({2: "a plain error"})
    if how == "eof":
        raise Failure({2: "reading the test: unexpected EOF", 3: ["io.ErrUnexpectedEOF"]})
    if how == "sentinel":
        raise Failure({2: "wrapped: one of ours", 3: ["executortest.errOurs"]})
    if how == "type":
        code = errors.cbor({"Code": 99, "Note": "teapot"})
        raise Failure({2: "wrapped: code 99: teapot", 4: {"executortest.codeError": b"\0" + code}})
    if how == "panic":
        raise Failure({2: "out of cheese", 5: True, 6: "the stack of failFunc"})
    if how == "panic error":
        raise Failure({2: "wrapped: one of ours", 3: ["executortest.errOurs"], 5: True})
    if how == "goexit":
        raise Failure({2: "concert: the task's function called runtime.Goexit", 3: ["concert.ErrGoexit"]})
    return "no failure: " + how


def blob(size):
    b = bytearray(size)
    for i in range(0, size, 4096):
        b[i] = i >> 12 & 255
    return b


def append_line(line):
    with open(line["Path"], "a") as f:
        f.write("%d\n" % line["Number"])
    return line["Number"]


def scribble(pointer):
    pointer[0][0] = 42  # a pointer to a slice is encoded as an array with one element
    return pointer


def misbehave(rogue):
    """Returns the value. But if a method of the value would fail in a Go
    worker, raises the error that a Go worker sends."""
    at, _, how = rogue.decode().partition("|")
    if at in ("decoding the argument", "encoding the result"):
        text = "concert: %s of executortest.misbehave: " % at.split()[-1]
        raise Failure({
            "panics": {2: text + "rogue: out of cheese", 5: True, 6: "the stack"},
            "exits": {2: text + "runtime.Goexit", 3: ["concert.ErrGoexit"]},
            "fails": {2: text + "rogue: refused"},
        }[how])
    return here.argument


def fail_oddly(how):
    if how == "panic value":
        raise Failure({2: "wrapped: out of cheese", 5: True, 6: "the stack"})
    raise Failure({1: "*executortest.oddError", 2: "odd: " + how})


def echo(_):
    return here.argument


def milestone(n):
    for i in range(n):
        concert.progress(i + 1, n)
    return n


def shared(b, elsewhere=False):
    """Returns the value of a handle. A handle begins with 8 bytes, and the
    first byte is the form. Then follows the ID of a shared value of this
    pool. If elsewhere is True, the value may follow instead, and the second
    byte is its kind."""
    if b[0] == 1:
        return shared_values.find(b[8:])
    if b[0] == 0 and not elsewhere:
        raise Failure({2: "the argument has a copy of the shared value"})
    return decode(b[1], b[8:]) if b[0] == 0 else None


def shared_sum(part):
    return float(sum(shared(part["Numbers"], elsewhere=True)[part["From"] : part["To"]]))


def shared_nested(tree):
    if tree["Nil"] is not None:
        raise Failure({2: "the nil handle has arrived"})
    handles = [tree["Value"], *tree["Slice"], *tree["Map"].values()]
    return float(sum(sum(shared(h)) for h in handles))


def shared_held(arg):
    hold(arg["Gate"])
    return float(sum(shared(arg["Numbers"])))


FUNCTIONS = {
    "sharedSum": shared_sum,
    "sharedAlone": lambda h: float(sum(shared(h))),
    "sharedText": shared,
    "sharedSize": lambda h: len(shared(h)),
    "sharedKeys": lambda h: len(shared(h)),
    "sharedRecord": lambda h: shared(h)["Name"],
    "sharedNested": shared_nested,
    "sharedHeld": shared_held,
    "mappedNumbers": lambda n: array.array("d", range(n)),
    "square": lambda n: n * n,
    "hold": hold,
    "holdSlow": hold,
    "stubborn": stubborn,
    "fail": fail,
    "blob": blob,
    "scribble": scribble,
    "misbehave": misbehave,
    "failOddly": fail_oddly,
    "deadline": lambda _: here.left != 0,
    "milestone": milestone,
    "sizeOf": len,
    "appendLine": append_line,
}


def look_up(self, name, before=functions.Functions.look_up):
    suite, _, function = name.partition(".")
    if suite == "executortest" and function.startswith("echo"):
        return echo
    return FUNCTIONS[function] if suite == "executortest" else before(self, name)


def parse(self, frame, before=worker.Worker.parse):
    (here.left,) = struct.unpack_from("<q", frame, 5)
    return before(self, frame)


values.decode, values.encode, errors.describe = decode, encode, describe
functions.Functions.look_up, worker.Worker.parse = look_up, parse
