"""Functions for the tests."""

import array
import collections
import ctypes
import dataclasses
import enum
import glob
import os
import signal
import threading
import time

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
    import concert

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        concert.progress(1, 2)
    return 7


together = threading.Barrier(4)


def meet(n):
    """Waits for three others in this interpreter."""
    together.wait(60)
    return os.getpid()


class Slow:
    """What takes its time to be made, and is made once."""

    made = 0

    def __init__(self):
        Slow.made += 1
        time.sleep(0.2)

    def count(self):
        return Slow.made


def nap(seconds):
    time.sleep(seconds)
    return seconds


def wait_for(path):
    """Waits until a file is there, in steps at which it can be interrupted."""
    open(path + ".in.%d" % threading.get_ident(), "w").close()
    while not os.path.exists(path):
        time.sleep(0.005)
    return path


def pid_when(path):
    """The process, once a file is there; at once if there is no path."""
    if path:
        wait_for(path)
    return os.getpid()


def stuck(path):
    """One step of C that never ends, while others run."""
    open(path + ".in.%d" % threading.get_ident(), "w").close()
    ctypes.CDLL(None).pause()


def end_beside(path):
    """Ends the interpreter when three others wait."""
    while len(glob.glob(path + ".in.*")) < 3:
        time.sleep(0.001)
    os._exit(7)


def report(n):
    import concert

    for i in range(n):
        concert.progress(i + 1, n)
        time.sleep(0.001)
    return n


def twice(numbers):
    return array.array("d", [2 * x for x in numbers])


def say(text):
    print(text + " of Python")
    os.write(1, (text + " of the system\n").encode())
    libc = ctypes.CDLL(None)
    libc.puts((text + " of C").encode())
    libc.fflush(None)


def leave_a_thread(_):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return threading.active_count()


def pool_inside(n):
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(square, range(n)))
