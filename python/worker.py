"""A worker of concert's process pool: reads calls, runs them, writes what came of them.

It needs CPython 3.8 or later and the standard library. What it says and hears is
described in concert's docs/wire.md; values and names in python/python.go.
"""

import array
import importlib
import marshal
import mmap
import os
import queue
import signal
import struct
import sys
import threading
import time
import traceback

VERSION = 1
__file__ = "<concert worker>"  # as it was compiled
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

LARGE = 16 << 10
RING_AT, RING = 12288, 256 << 10
WRITTEN, BASE, TAKEN = 1, 2, 3  # words of the journal


class Cancelled(BaseException):
    """Raised in a task that nobody waits for any more."""


class Gone(Exception):
    """The pool sent what this worker does not understand."""


# -- errors, in CBOR ---------------------------------------------------------------


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
        b = v.encode("utf-8", "backslashreplace")
        return cbor_head(3, len(b)) + b
    if isinstance(v, (list, tuple)):
        return cbor_head(4, len(v)) + b"".join(map(cbor, v))
    return cbor_head(5, len(v)) + b"".join(cbor(k) + cbor(x) for k, x in v.items())


def type_name(t):
    return t.__qualname__ if t.__module__ == "builtins" else t.__module__ + "." + t.__qualname__


def describe(e):
    """An exception as the pool wants it: concert's python.Error."""
    try:
        text = str(e)
    except BaseException as another:
        text = "<%s whose __str__ raised %s>" % (type_name(type(e)), type_name(type(another)))
    try:
        tb = e.__traceback__
        while tb is not None and tb.tb_frame.f_code.co_filename == __file__:
            tb = tb.tb_next
        trace = "".join(traceback.format_exception(type(e), e, tb))
    except BaseException as another:
        trace = "no traceback: formatting it raised " + type_name(type(another))
    notes = [n for n in getattr(e, "__notes__", None) or [] if isinstance(n, str)]
    fields = {
        "Type": type_name(type(e)),
        "Message": text,
        "Traceback": trace[-(64 << 10) :],
        "Notes": notes[:100],
        "Bases": [type_name(t) for t in type(e).__mro__[1:-1]],
    }
    names = ["context.Canceled", "concert.ErrCancelled"] if isinstance(e, Cancelled) else []
    short = fields["Type"] + (": " + text if text else "")
    return cbor({1: "python." + fields["Type"], 2: short, 3: names, 4: {"python.Error": b"\x00" + cbor(fields)}})


# -- the pool's side: frames out ----------------------------------------------------


class Results:
    """Frames to the pool. With a journal they are in its ring before they are in the
    pipe, so that they outlive this process."""

    def __init__(self, fd, journal):
        self.fd = fd
        self.journal = journal
        self.words = memoryview(journal).cast("Q") if journal else None
        self.lock = threading.Lock()
        self.buf = bytearray()
        self.written = 0

    def put(self, kind, *parts, flush=True):
        size = 1 + sum(len(p) for p in parts)
        head = struct.pack("<IB", size, kind)
        with self.lock:
            if size + 4 > RING // 2:
                self.flush()
                for p in (head,) + parts:
                    self.write(p)
                self.written += size + 4
                if self.journal:
                    self.words[BASE] = self.written
                    self.words[WRITTEN] = self.written
                return
            if len(self.buf) + size + 4 > RING:
                self.flush()
            for p in (head,) + parts:
                if self.journal:
                    at = self.written % RING
                    n = min(len(p), RING - at)
                    self.journal[RING_AT + at : RING_AT + at + n] = p[:n]
                    self.journal[RING_AT : RING_AT + len(p) - n] = p[n:]
                self.buf += p
                self.written += len(p)
            if self.journal:
                self.words[WRITTEN] = self.written  # the frame is complete
            if flush:
                self.flush()

    def say(self):
        """Puts what is not there yet into the pipe."""
        with self.lock:
            self.flush()

    def flush(self):
        if self.buf:
            self.write(self.buf)
            self.buf = bytearray()

    def write(self, b):
        view = memoryview(b).cast("B")
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError:
            os._exit(113)  # the pool has gone


class Places:
    """Places in the half of the arena where results go, used in turn."""

    def __init__(self, size, words):
        self.size = size
        self.words = words
        self.taken = []  # (offset, length), the oldest first
        self.count = 0

    def take(self, n):
        del self.taken[: len(self.taken) - (self.count - self.words[TAKEN])]
        room = (n + 63) // 64 * 64
        start, end = 0, self.size
        if self.taken:
            first, last = self.taken[0], self.taken[-1]
            start = last[0] + last[1]
            if last[0] < first[0]:
                end = first[0]
            elif end - start < room:
                start, end = 0, first[0]
        if end - start < room:
            return None
        self.taken.append((start, room))
        self.count += 1
        return start


# -- values -------------------------------------------------------------------------


def decode(kind, b):
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
    if kind == 13:
        return int.from_bytes(b, "little", signed=True)
    if kind == 14:
        return int.from_bytes(b, "little")
    if kind == 15:
        return struct.unpack("<d", b)[0]
    if kind == 16:
        return b[0] == 1
    raise TypeError("the argument is of a Go function: only functions of python.Func run here (kind %d)" % kind)


def encode(v):
    t = type(v)
    if t is bool:
        return 16, b"\x01" if v else b"\x00"
    if t is int:
        if -1 << 63 <= v < 1 << 63:
            return 13, v.to_bytes(8, "little", signed=True)
        if 0 <= v < 1 << 64:
            return 14, v.to_bytes(8, "little")
    elif t is float:
        return 15, struct.pack("<d", v)
    elif t is str:
        return 2, v.encode("utf-8")
    elif t is bytes or t is bytearray:
        return 1, v
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


# -- the worker -----------------------------------------------------------------------


class Lane:
    """A thread that runs calls, one after the other."""

    def __init__(self):
        self.id = None  # the call that runs, or the last one
        self.running = False
        self.interrupted = False
        self.thread = 0  # its number


class Worker:
    """Calls come in frames, and each frame goes to one lane:

    one thread    the main thread reads a frame, and runs its calls
    several       the main thread reads frames for the others, the lanes

    In both cases one more thread, listen, hears what the pool says about calls meanwhile."""

    def __init__(self):
        setup = dict(part.split("=", 1) for part in os.environ.pop("CONCERT_WORKER").split()[1:])
        files = [int(fd) for fd in setup["files"].split(",")]
        for fd in files:
            os.set_inheritable(fd, False)
        for fd in files[:3]:
            os.set_blocking(fd, True)
        self.tasks, results, self.control = files[:3]
        journal = mmap.mmap(files[3], 0) if len(files) > 3 else None
        self.out = Results(results, journal)
        self.arena = self.places = None
        if len(files) > 4:
            self.arena = memoryview(mmap.mmap(files[4], 0))
            self.half = len(self.arena) // 2
            self.places = Places(self.half, self.out.words)
        for fd in files[3:]:
            os.close(fd)
        self.prepare = setup["prepare"] == "true"
        self.report = setup["report"] == "true"
        self.threads = int(setup["threads"])
        self.read = bytearray()
        self.frames = queue.SimpleQueue()  # for lanes that are not the main thread
        self.functions = {}
        self.instances = {}
        self.finding = threading.RLock()  # held to find a function
        self.sending = threading.Lock()  # held to send a result by the arena
        self.lock = threading.Lock()  # guards what is below, and what lanes run
        self.lanes = {}  # by number of thread
        self.expected = 0  # the number of the next frame
        self.begin = {}  # of frames that have come and not ended: the next call
        self.cancelled = {}  # calls that have not begun
        self.given_back = {}  # of frames, from which call on

    # Frames in.

    def whole(self):
        if len(self.read) < 4:
            return 0
        n = int.from_bytes(self.read[:4], "little")
        return n if len(self.read) >= 4 + n else 0

    def next(self):
        while not self.whole():
            self.out.say()  # what came of the calls before
            need = 4 + int.from_bytes(self.read[:4], "little") - len(self.read) if len(self.read) >= 4 else 0
            b = os.read(self.tasks, min(max(64 << 10, need), 1 << 20))
            if not b:
                if self.read:
                    raise Gone("the end of the calls, in the middle of one")
                return None
            self.read += b
        n = self.whole()
        frame = bytes(self.read[4 : 4 + n])
        del self.read[: 4 + n]
        return frame

    def listen(self):
        """Reads what the pool says about calls, until the pool has gone."""
        buf = b""
        while True:
            b = os.read(self.control, 4096)
            if not b:
                os._exit(113)
            buf += b
            while len(buf) >= 4 and len(buf) >= 4 + int.from_bytes(buf[:4], "little"):
                n = int.from_bytes(buf[:4], "little")
                kind, body, buf = buf[4:5], buf[5 : 4 + n], buf[4 + n :]
                if kind == b"X" and len(body) == 9:
                    self.cancel(struct.unpack("<II", body[:8]), body[8])
                elif kind == b"T" and len(body) == 8:
                    self.take_back(*struct.unpack("<II", body))

    def to_come(self, seq):
        return (seq - self.expected) & 0xFFFFFFFF < 1 << 31

    def cancel(self, call, why):
        seq, index = call
        with self.lock:
            for lane in self.lanes.values():
                if lane.running and lane.id == call:
                    lane.interrupted = True
                    set_async_exception(lane.thread, Cancelled)
                    return
            if self.to_come(seq) or index >= self.begin.get(seq, 1 << 40) - 1:
                self.cancelled[call] = why  # it begins soon, or has just ended

    def take_back(self, seq, index):
        with self.lock:
            if seq in self.begin or self.to_come(seq):
                index = self.given_back[seq] = max(index, self.begin.get(seq, 0))
            else:
                index = 0xFFFFFFFF
        self.out.put(ord("G"), struct.pack("<II", seq, index))

    # Life.

    def run(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool decides
        self.out.put(ord("H"), b"concert" + struct.pack("<II", VERSION, 0))
        threading.Thread(target=self.listen, daemon=True, name="concert").start()
        try:
            if sys.version_info < (3, 8):
                raise RuntimeError("Python %s is too old: it takes 3.8 or later" % sys.version.split()[0])
            if marshal.dumps(SAMPLE, 2) != SAMPLE_BYTES:
                raise RuntimeError("the marshal module of Python %s writes another format than version 2" % sys.version.split()[0])
            sys.path[0:0] = [p for p in os.environ.pop("CONCERT_PYTHON_PATH", "").split(os.pathsep) if p]
            for name in os.environ.pop("CONCERT_PYTHON_IMPORT", "").split():
                importlib.import_module(name)
            if self.prepare:
                frame = self.next()
                if frame is None:
                    return 0
                _, name, args = self.parse(frame)
                self.function(name)(self.argument(args[0]))
        except BaseException as e:
            self.out.put(ord("B"), describe(e))
            self.end(111)
        self.out.put(ord("Y"))
        lanes = [threading.Thread(target=self.lane, daemon=True, name="concert-%d" % i) for i in range(self.threads)]
        if self.threads > 1:
            for lane in lanes:
                lane.start()
        else:
            lane = self.new_lane()
        while True:
            frame = self.next()
            if frame is None:
                break
            if frame[:1] != b"C":
                raise Gone("a frame of type %r" % frame[:1])
            with self.lock:
                (self.expected,) = struct.unpack_from("<I", frame, 1)
                self.begin[self.expected] = 0
                self.expected += 1
            if self.threads > 1:
                self.frames.put(frame)
            else:
                self.calls(lane, frame)
        if self.threads > 1:
            for lane in lanes:
                self.frames.put(None)
            for lane in lanes:
                lane.join()
        self.end(0)

    def new_lane(self):
        lane = Lane()
        lane.thread = threading.get_ident()
        with self.lock:
            self.lanes[lane.thread] = lane
        return lane

    def lane(self):
        lane = self.new_lane()
        try:
            while True:
                if self.frames.empty():
                    self.out.say()
                frame = self.frames.get()
                if frame is None:
                    return  # it says the rest
                self.calls(lane, frame)
        except Gone as e:
            self.gone(e)
        except BaseException:
            traceback.print_exc()
            self.end(1)

    def gone(self, e):
        print("concert: from the pool came", e, file=sys.stderr)
        self.end(112)

    def end(self, code):
        """Exits, without waiting for threads that tasks have left."""
        try:
            flush_standard()
            self.out.say()
        finally:
            os._exit(code)

    def parse(self, frame):
        seq, _, n = struct.unpack_from("<IqH", frame, 1)  # the pool sees to the deadline
        name = str(frame[15 : 15 + n], "utf-8")
        (count,) = struct.unpack_from("<H", frame, 15 + n)
        at = 17 + n
        args = []
        view = memoryview(frame)
        for _ in range(count):
            (size,) = struct.unpack_from("<I", frame, at)
            args.append(view[at + 4 : at + 4 + size])
            at += 4 + size
        return seq, name, args

    def calls(self, lane, frame):
        seq, name, args = self.parse(frame)
        for index, arg in enumerate(args):
            call = (seq, index)
            with self.lock:
                if index >= self.given_back.get(seq, 1 << 40):
                    break
                lane.id = call
                self.begin[seq] = index + 1
                dropped = self.cancelled.pop(call, None) is not None
            self.call(lane, call, name, arg, dropped)
        with self.lock:
            del self.begin[seq]
            self.given_back.pop(seq, None)
            if self.cancelled:
                self.cancelled = {c: why for c, why in self.cancelled.items() if c[0] != seq}

    def call(self, lane, call, name, arg, dropped):
        """Runs one call. A cancellation is an exception that comes between any two steps while
        lane.running is True; what is outside of that must not be torn by it."""
        head = struct.pack("<II", *call)
        outcome = None
        begun = time.perf_counter_ns()
        if not dropped:
            self.out.put(ord("S"), head)
            begun = time.perf_counter_ns()
            try:
                try:
                    with self.lock:
                        lane.running = True
                        dropped = self.cancelled.pop(call, None) is not None
                    if dropped:
                        raise Cancelled()
                    kind, value = encode(self.function(name)(self.argument(arg)))
                    outcome = (ord("R"), kind, value)
                except BaseException as e:
                    outcome = (ord("F"), 0, describe(e))
            except Cancelled:
                pass  # while it was described
            while True:
                try:
                    with self.lock:
                        lane.running = False
                    if lane.interrupted:
                        set_async_exception(lane.thread, None)  # it may not have come yet
                        lane.interrupted = False
                        while self.finding._is_owned():
                            self.finding.release()  # it came just before try, or in finally
                    break
                except Cancelled:
                    pass
        if outcome is None:
            outcome = (ord("F"), 0, describe(Cancelled()))
        ran = time.perf_counter_ns() - begun
        flush_standard()
        kind, how, value = outcome
        head += struct.pack("<q", ran)
        if kind == ord("F"):
            self.out.put(kind, head, value, flush=False)
            return
        n = len(value)
        if n > 1 << 30:
            e = ValueError("the result has %d bytes, more than %d" % (n, 1 << 30))
            self.out.put(ord("F"), head, describe(e), flush=False)
            return
        if self.places is not None and n > LARGE:
            with self.sending:  # places are given back in the order of the results
                at = self.places.take(n)
                if at is not None:
                    self.arena[self.half + at : self.half + at + n] = value
                    self.out.put(kind, head, struct.pack("<BBQQ", 1, how, at, n), flush=False)
                    return
        self.out.put(kind, head, bytes((0, how)), value, flush=False)

    def argument(self, arg):
        if arg[0] == 0:
            return decode(arg[1], arg[2:])
        offset, n = struct.unpack_from("<QQ", arg, 2)
        if self.arena is None or offset + n > self.half:
            raise Gone("an argument where no memory is")
        return decode(arg[1], self.arena[offset : offset + n])

    # Functions.

    def function(self, name):
        f = self.functions.get(name)
        if f is None:
            while not self.finding.acquire(timeout=0.05):
                pass  # here a task that waits for another one can be interrupted
            try:
                f = self.functions.get(name)
                if f is None:
                    f = self.functions[name] = self.find(name)
            finally:
                self.finding.release()
        return f

    def find(self, name):
        """python:HOW:MODULE:NAME, or python:HOW::NAME and a line's end and source text. HOW begins
        with 1 for one argument, 0 for none, * for those of python.Args; the rest keeps functions apart."""
        try:
            language, how, where = name.split(":", 2)
            module, target = where.split(":", 1)
        except ValueError:
            language = ""
        if language != "python":
            raise LookupError("%r is a function of Go: only those of python.Func run here" % name)
        if module:
            found = importlib.import_module(module)
        else:
            target, source = target.split("\n", 1)
            scope = {"__name__": "__concert__"}
            exec(compile(source, "<source of %s>" % target, "exec"), scope)
            parts = target.split(".")
            if parts[0] not in scope:
                raise AttributeError("the source defines no %r" % parts[0])
            found, target = scope[parts[0]], ".".join(parts[1:])
        key = module
        for part in target.split(".") if target else ():
            key += ":" + part
            if part.endswith("()"):  # one for each worker
                if key not in self.instances:
                    self.instances[key] = getattr(found, part[:-2])()
                found = self.instances[key]
            else:
                found = getattr(found, part)
        if not callable(found):
            raise TypeError("%s is no function: it is of type %s" % (name, type_name(type(found))))
        return adapt(found, how[0])


def adapt(f, how):
    """f with one argument, as it comes, and a result that is no coroutine."""

    def finish(result):
        if type(result).__name__ == "coroutine" and hasattr(result, "send"):
            import asyncio

            return asyncio.run(result)
        return result

    if how == "0":
        return lambda _: finish(f())
    if how == "*":
        return lambda a: finish(f(*a.get("Args") or (), **(a.get("Kwargs") or {})))
    return lambda a: finish(f(a))


def set_async_exception(thread, kind):
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None)


def flush_standard():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def concert_module(worker):
    """The module that tasks can import: progress, and whether they are cancelled."""
    module = type(sys)("concert", "What a task can say to the pool that it runs in.")

    def progress(done, total=0):
        with worker.lock:  # meanwhile nobody interrupts, and who has been is not to tear a frame
            lane = worker.lanes.get(threading.get_ident())
            if lane is None and worker.threads == 1:
                (lane,) = worker.lanes.values()  # a thread of the task's own
            if lane and lane.running and worker.report and not lane.interrupted:
                worker.out.put(ord("P"), struct.pack("<IIqq", *lane.id, int(done), int(total)))

    progress.__doc__ = "Says how far the task is: so many of so many units, 0 if that is not known."
    module.progress = progress
    module.Cancelled = Cancelled
    sys.modules["concert"] = module


def main():
    try:
        import faulthandler

        faulthandler.enable()
    except Exception:
        pass
    try:
        sys.stdout.reconfigure(line_buffering=True)
    except Exception:
        pass
    worker = Worker()
    concert_module(worker)
    try:
        worker.run()
    except Gone as e:
        worker.gone(e)


main()
