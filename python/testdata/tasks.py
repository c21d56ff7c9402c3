"""Functions for the tests."""

import array
import collections
import ctypes
import dataclasses
import enum
import os
import signal

NUMBER = 5


def echo(v):
    return v


def square(n):
    return n * n


def nothing():
    pass


def surrogate():
    return "\ud800"


def circle():
    v = []
    v.append(v)
    return v


class Thing:
    pass


def an_object():
    return {"inside": [1, Thing()]}


def generator():
    yield 1


def a_tuple():
    return 1, "two", 3.0


def a_frozenset():
    return frozenset([7])


@dataclasses.dataclass
class Data:
    x: int
    name: str


def a_dataclass():
    return Data(1, "n")


class Color(enum.IntEnum):
    RED = 2


def an_enum():
    return Color.RED


def ordered():
    return collections.OrderedDict(a=1)


def keys():
    return {1: "a", "b": 2}


def huge():
    return 1 << 100


def nested_array():
    return [array.array("d", [1.5, 2.5])]


def int_array():
    return array.array("i", [1, -2])


def view():
    return memoryview(b"abc")[1:]


def several(a, b, c="", d=""):
    return "%s %s %s%s" % (a, b, c, d)


class Counter:
    def __init__(self):
        self.n = 0

    def next(self):
        self.n += 1
        return self.n

    @staticmethod
    def twice(n):
        return 2 * n


async def later(n):
    import asyncio

    await asyncio.sleep(0)
    return n + 1


class Mine(KeyError, LookupError):
    def __str__(self):
        return "of my own"


class Dumb(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def fail(what):
    if what == "value":
        raise ValueError("not this")
    if what == "own":
        raise Mine()
    if what == "file":
        open("/no/such/file")
    if what == "exit":
        raise SystemExit(3)
    if what == "interrupt":
        raise KeyboardInterrupt()
    if what == "recursion":
        fail(what)
    if what == "dumb":
        raise Dumb()
    if what == "noted":
        e = ValueError("with a note")
        if hasattr(e, "add_note"):
            e.add_note("the note")
        raise e
    if what == "stdin":
        input()


def end(what):
    if what == "exit":
        os._exit(7)
    if what == "crash":
        ctypes.string_at(1)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def spin(_):
    while True:
        pass


def busy(seconds):
    import time

    import concert

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        concert.progress(1, 2)
    return 7


def twice(numbers):
    return array.array("d", [2 * x for x in numbers])


def say(text):
    print(text + " of Python")
    os.write(1, (text + " of the system\n").encode())
    libc = ctypes.CDLL(None)
    libc.puts((text + " of C").encode())
    libc.fflush(None)


def leave_a_thread(_):
    import threading
    import time

    threading.Thread(target=time.sleep, args=(3600,)).start()
    return threading.active_count()


def pool_inside(n):
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(square, range(n)))
