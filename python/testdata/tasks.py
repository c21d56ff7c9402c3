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
    """Waits until four calls run concurrently in this interpreter. Returns the process id."""
    together.wait(60)
    return os.getpid()


class Slow:
    """A class whose constructor is slow. It counts its instances."""

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
    """Waits until a file exists, in short steps, so that it can be interrupted."""
    open(path + ".in.%d" % threading.get_ident(), "w").close()
    while not os.path.exists(path):
        time.sleep(0.005)
    return path


def pid_when(path):
    """Returns the process id when a file exists, or immediately if path is empty."""
    if path:
        wait_for(path)
    return os.getpid()


def stuck(path):
    """Blocks in C code that never returns. Other threads can run."""
    import concert

    while True:
        try:
            open(path + ".in.%d" % threading.get_ident(), "w").close()
            ctypes.CDLL(None).pause()
        except concert.Canceled:
            pass  # Canceled was raised just before the call of pause


def stubborn(path):
    """Continues to run when the task is canceled."""
    import concert

    while True:
        try:
            open(path + ".in", "w").close()
            time.sleep(0.01)
        except concert.Canceled:
            open(path + ".told", "w").close()


def end_beside(path):
    """Ends the interpreter when three calls of wait_for run."""
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


def meet_large(b):
    """Waits until two calls run whose arguments begin with the same path."""
    path = b[:200].rstrip(b"\0").decode()
    open(path + ".in.%d" % threading.get_ident(), "w").close()
    end = time.perf_counter() + 60
    while len(glob.glob(path + ".in.*")) < 2:
        if time.perf_counter() > end:
            raise TimeoutError("no other call runs")
        time.sleep(0.005)
    return 1


def odd_exception(kind):
    """Raises an exception that the worker cannot describe. If kind is
    "thread", a thread of the task still runs at this time."""
    if kind == "thread":
        threading.Thread(target=time.sleep, args=(3600,)).start()

    class Odd(Exception):
        __module__ = 5

    e = ValueError("its __notes__ is not a list") if kind != "module" else Odd("no module")
    e.__notes__ = 5
    raise e


def end_later(_):
    """Makes the thread that reads calls fail when it handles the outcome. A
    thread of the task still runs at this time."""
    def broken(kind, b):
        raise MemoryError("as if there were none")

    threading.Thread(target=time.sleep, args=(3600,)).start()
    import concert.worker

    concert.worker.Worker.outcome = broken


class SlowNumber:
    def __int__(self):
        time.sleep(0.05)
        return 1


def progress_late(n):
    """Starts a thread that reports progress after the task has ended."""
    import concert

    threading.Thread(target=lambda: concert.progress(SlowNumber(), 2), daemon=True).start()
    time.sleep(0.01)
    return n


shared = bytearray(8000)


def grow(seconds):
    """Repeatedly changes the length of the bytearray that give_shared
    returns."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        try:
            shared.extend(b"x")
            if len(shared) > 12000:
                del shared[8000:]
        except BufferError:
            pass
    return 1


def give_shared(_):
    return shared


def clean_up(path):
    """Counts its interruptions until 0.1 seconds after the first one. If path is empty, returns 0 immediately."""
    import concert

    if not path:
        return 0
    times = 0
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        try:
            open(path + ".in", "w").close()
            while time.perf_counter() < end:
                time.sleep(0.0005)  # CPython 3.13 may not catch an exception at the end of an empty loop
        except concert.Canceled:
            if times == 0:
                end = time.perf_counter() + 0.1
            times += 1
    open(path + ".times.%d" % times, "w").close()
    return times


def kind_of(v):
    """Returns the types of an argument and its parts. For an array, includes the type and the number of its items."""
    t = type(v)
    name = t.__module__ + "." + t.__qualname__
    if t is list or t is tuple:
        return "%s[%s]" % (name, ", ".join(map(kind_of, v)))
    if t is dict:
        return "%s{%s}" % (name, ", ".join(sorted("%s: %s" % (kind_of(k), kind_of(x)) for k, x in v.items())))
    if name == "array.array":
        return "%s %s %d" % (name, v.typecode, len(v))
    if name == "numpy.ndarray":
        return "%s %s %s %s" % (name, v.dtype, v.shape, v.flags.writeable)
    return name


def evaluate(text):
    scope = {}
    for name in "array collections dataclasses datetime decimal enum fractions pathlib uuid ctypes types".split():
        if name in text:
            scope[name] = __import__(name)
    if "np." in text:
        import numpy

        scope["np"] = numpy
    if "NoOffset" in text:
        import datetime

        class NoOffset(datetime.tzinfo):
            def utcoffset(self, when):
                return None

        scope["NoOffset"] = NoOffset
    if "tz(" in text:
        import datetime

        scope["tz"] = lambda seconds, *name: datetime.timezone(datetime.timedelta(seconds=seconds), *name)
    scope.update(Data=Data, DataDict=DataDict, Perm=Perm, Whole=Whole, Color=Color, Plain=Plain, Point=Point, Money=Money, nest=nest, circle=circle, Thing=Thing, Nested=Nested)
    return eval(text, scope)


class Plain(enum.Enum):
    A = "first"
    B = (1, 2)


class Perm(enum.Flag):
    R = 1
    W = 2


class Whole(enum.IntFlag):
    X = 4
    Y = 8


@dataclasses.dataclass
class DataDict(dict):
    x: int


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Nested:
    inner: object
    price: object = None


class Money:
    def __init__(self, cents):
        self.cents = cents


def nest(depth, v=None, kind=list):
    for _ in range(depth):
        v = kind((v,)) if kind is not dict else {"k": v}
    return v


def equip():
    import concert

    @concert.converts(Money)
    def plain_money(m):
        return {"cents": m.cents}


calls = 0


def count_calls(v=None):
    global calls
    calls += 1
    return calls


def memory_of(b):
    """Returns the maximum memory that a worker allocates while it decodes an
    argument, without the bytes of the argument."""
    import gc
    import tracemalloc

    import concert.values

    concert.values.decode(17, b)  # a first call, which imports the modules that the function decode needs
    view = memoryview(b)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        v = concert.values.decode(17, view)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
