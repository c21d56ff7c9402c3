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
    import concert

    while True:
        try:
            open(path + ".in.%d" % threading.get_ident(), "w").close()
            ctypes.CDLL(None).pause()
        except concert.Canceled:
            pass  # it came just before


def stubborn(path):
    """Does not end when it is canceled."""
    import concert

    while True:
        try:
            open(path + ".in", "w").close()
            time.sleep(0.01)
        except concert.Canceled:
            open(path + ".told", "w").close()


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


def meet_large(b):
    """Waits for another one with the same path, which the argument begins with."""
    path = b[:200].rstrip(b"\0").decode()
    open(path + ".in.%d" % threading.get_ident(), "w").close()
    end = time.perf_counter() + 60
    while len(glob.glob(path + ".in.*")) < 2:
        if time.perf_counter() > end:
            raise TimeoutError("nobody came")
        time.sleep(0.005)
    return 1


def odd_exception(kind):
    """Raises one that cannot be described, perhaps with a thread left behind."""
    if kind == "thread":
        threading.Thread(target=time.sleep, args=(3600,)).start()

    class Odd(Exception):
        __module__ = 5

    e = ValueError("its __notes__ is not a list") if kind != "module" else Odd("no module")
    e.__notes__ = 5
    raise e


def end_later(_):
    """Has the thread that reads calls meet an error that is nobody's."""
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
    """A thread of the task says progress when the task has ended."""
    import concert

    threading.Thread(target=lambda: concert.progress(SlowNumber(), 2), daemon=True).start()
    time.sleep(0.01)
    return n


shared = bytearray(8000)


def grow(seconds):
    """Changes the length of what give_shared returns all the time."""
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
    """Counts how often it is interrupted within a tenth of a second; at once without a path."""
    import concert

    if not path:
        return 0
    times = 0
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        try:
            open(path + ".in", "w").close()
            while time.perf_counter() < end:
                time.sleep(0.0005)  # CPython 3.13 does not catch what comes at the bare end of a loop
        except concert.Canceled:
            if times == 0:
                end = time.perf_counter() + 0.1
            times += 1
    open(path + ".times.%d" % times, "w").close()
    return times


def kind_of(v):
    """The types of an argument, down to its parts; of numbers in an array what they are."""
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
    """The most memory that a worker allocates for an argument, beside its bytes."""
    import gc
    import tracemalloc

    import concert.values

    concert.values.decode(17, b)  # imports what it needs
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
