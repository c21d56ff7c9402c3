"""A worker of concert's process pool: reads calls, runs them, writes what came of them.

It needs CPython 3.8 or later and the standard library. What it says and hears is
described in concert's docs/wire.md; values and names in python/python.go.
"""

import importlib
import mmap
import os
import struct
import sys
import threading
import time
from _queue import SimpleQueue  # and not by modules that take their time to import
from _signal import SIGINT
from _signal import signal as handle
from _thread import start_new_thread

from concert import errors, finish, forks, functions, imports, results, values
from concert.errors import Canceled, Gone
from concert.forks import flush_others, flush_ours, flush_standard
from concert.imports import loaded, modules, own, private

importlib, os, struct, threading, time = map(private, (importlib, os, struct, threading, time))

VERSION, MARKS, GATE = 1, 2, 4
GATE_AT, SLOTS_AT, SLOTS = 4, 512, 1024  # words of the journal
LARGE = 16 << 10
RESULT = struct.Struct("<IBIIqBB")
SHARED = struct.Struct("<IBIIqBBQQ")
FAILURE = struct.Struct("<IBIIq")
UINT32 = struct.Struct("<I")
EVER = 1 << 40
COMPUTES = 0.05  # seconds in which an event loop that waits has canceled its task


class Lane:
    """A thread that runs calls, one after the other."""

    def __init__(self):
        self.id = None  # the call that runs, or the last one
        self.running = False
        self.interrupted = False
        self.why = 0  # and the reason, if the pool gave one
        self.thread = 0  # its number
        self.fence = threading.Lock()  # always held by the lane
        self.fence.acquire()


class Worker:
    """Calls come in frames, and each frame goes to one lane:

    one thread    the main thread reads a frame, and runs its calls
    several       the main thread reads frames for the others, the lanes

    Two more threads: listen hears what the pool says about calls meanwhile, and attend sees to it
    that outcomes do not wait in memory while a call runs."""

    def __init__(self):
        setup = dict(part.split("=", 1) for part in os.environ.pop("CONCERT_WORKER").split()[1:])
        if os.environ.pop("CONCERT_PYTHON_TUNED", None):
            os.environ.pop("GLIBC_TUNABLES", None)  # what this process had to know
        self.patience = float(os.environ.pop("CONCERT_PYTHON_PATIENCE", "1"))
        self.here = forks.mark()
        files = [int(fd) for fd in setup["files"].split(",")]
        for fd in files:
            os.set_inheritable(fd, False)
        for fd in files[:3]:
            os.set_blocking(fd, True)
        self.tasks, out, self.control = self.files = files[:3]
        journal = mmap.mmap(files[3], 0) if len(files) > 3 else None
        self.out = results.Results(out, journal)
        self.arena = self.places = None
        if len(files) > 4:
            self.arena = memoryview(mmap.mmap(files[4], 0))
            self.half = len(self.arena) // 2
            self.places = results.Places(self.half, self.out.words)
        for fd in files[3:]:
            os.close(fd)
        self.prepare = setup["prepare"] == "true"
        self.report = setup["report"] == "true"
        self.threads = int(setup["threads"])
        # Without the GIL what one thread writes others may see later, but for locks.
        self.free = not getattr(sys, "_is_gil_enabled", lambda: True)()
        self.marks = self.out.words  # None without a journal
        # With one thread the journal says which call begins, else a frame does.
        self.says_started = self.threads > 1 or self.marks is None
        self.read = bytearray()
        self.frames = SimpleQueue()  # for lanes that are not the main thread
        self.functions = functions.Functions()
        self.sending = threading.Lock()  # held to send a result by the arena
        self.gathering = threading.Event()  # attend is awake
        self.attending = True
        self.over = SimpleQueue()  # lanes that have ended their last call
        self.lock = threading.Lock()  # guards what is below, and what lanes run; see calls
        self.heard = False  # while listen looks at it
        self.lanes = {}  # by number of thread
        self.expected = 0  # the number of the next frame
        self.begin = {}  # of frames that have come and not ended: the next call
        self.canceled = {}  # calls that have not begun
        self.given_back = {}  # of frames, from which call on
        self.asked = 0  # how often the pool has asked for calls

    # Frames in.

    def next(self):
        """The next frame; None at the end."""
        while True:
            have = len(self.read)
            need = 4 + int.from_bytes(self.read[:4], "little") if have >= 4 else 4
            if have >= need > 4:
                frame = bytes(self.read[4:need])
                del self.read[:need]
                return frame
            flush_ours()
            self.out.say()  # what came of the calls before
            flush_others()
            b = os.read(self.tasks, min(max(64 << 10, need - have), 1 << 20))
            if not b:
                if self.read:
                    raise Gone("the end of the calls, in the middle of one")
                return None
            self.read += b

    def listen(self):
        """Reads what the pool says about calls, until the pool has gone."""
        try:
            self.hear()
        except BaseException as e:
            self.fail(e)

    def hear(self):
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
                    self.cancel(struct.unpack("<II", body[:8]), body[8] or 1)
                elif kind == b"T" and len(body) == 8:
                    self.take_back(*struct.unpack("<II", body))

    def attend(self):
        """Puts outcomes into the pipe that have waited for a moment.

        1. A lane leaves an outcome in memory, and then looks whether gathering is set.
        2. Here gathering is cleared, and then looked whether there are outcomes.

        One of the two sees the other, so none is left behind."""
        while self.attending:
            try:
                self.gathering.wait()
            except BaseException:  # a task has broken the module threading
                pass
            quiet = 0
            while quiet < 10 and self.attending:
                time.sleep(0.002)
                quiet = 0 if self.out.say() else quiet + 1
                flush_ours()
            self.gathering.clear()
            if self.out.say():
                self.gathering.set()

    def to_come(self, seq):
        return (seq - self.expected) & 0xFFFFFFFF < 1 << 31

    def cancel(self, call, why):
        seq, index = call
        with self.lock:
            self.heard = True
            for lane in self.lanes.values():
                if lane.running and lane.id == call and not lane.interrupted:
                    lane.interrupted = True
                    lane.why = why
                    self.interrupt(lane, call)
            if self.to_come(seq) or index >= self.begin.get(seq, EVER) - 1:
                self.canceled[call] = why  # it begins soon, is just interrupted, or has ended
            self.heard = False

    def interrupt(self, lane, call):
        """Has the function of a call end: by an exception at its next step, or, of a coroutine that waits, by
        asyncio's own cancellation. The caller holds the lock."""
        run = running(lane)
        if run is None:
            set_async_exception(lane.thread, Canceled)
            return
        run.cancel()
        threading.Thread(target=self.insist, args=(lane, call, run), daemon=True, name="concert-cancel").start()

    def insist(self, lane, call, run):
        """Interrupts a coroutine that computes: its loop cannot cancel it."""
        if run.heard.wait(COMPUTES):
            return
        with self.lock:
            self.heard = True
            if lane.running and lane.id == call and not run.heard.is_set():
                set_async_exception(lane.thread, Canceled)
            self.heard = False

    def shield(self):
        """Keeps the task of this thread from being interrupted from now on."""
        lane = self.lanes.get(threading.get_ident())
        if lane is None:
            return
        with self.lock:
            if lane.interrupted:
                set_async_exception(lane.thread, None)  # it may not have come yet
            lane.interrupted = True
            run = running(lane)
            if run is not None:
                run.heard.set()

    def take_back(self, seq, index):
        with self.lock:
            self.heard = True
            if seq not in self.begin and not self.to_come(seq):
                index = 0xFFFFFFFF
            elif self.marks is not None:  # the pool has looked which calls have begun
                index = self.given_back[seq] = min(index, self.given_back.get(seq, EVER))
            else:
                index = self.given_back[seq] = max(index, self.begin.get(seq, 0))
            self.asked += 1
            self.heard = False
        self.out.put(ord("G"), struct.pack("<II", seq, index))

    # Life.

    def run(self):
        handle(SIGINT, lambda *_: None)  # the pool decides; what tasks start does not inherit this
        self.out.put(ord("H"), b"concert" + struct.pack("<II", VERSION, self.flags()))
        threading.Thread(target=self.listen, daemon=True, name="concert").start()
        try:
            values.check()
            path = os.environ.pop("CONCERT_PYTHON_PATH", "").split(":")
            sys.path[0:0] = [p.replace("%3A", ":").replace("%25", "%") for p in path if p]
            for name in os.environ.pop("CONCERT_PYTHON_IMPORT", "").split():
                importlib.import_module(name)
                self.stay()
            if self.prepare:
                frame = self.next()
                if frame is None:
                    return
                _, name, args = self.parse(frame)
                self.functions.find(name)(self.argument(args[0]))
                self.stay()
        except BaseException as e:
            self.stay(e)
            self.out.put(ord("B"), errors.describe(e))
            self.end(111)
        threading.Thread(target=self.attend, daemon=True, name="concert-out").start()
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
            for _ in lanes:
                self.over.get()
        self.release(lanes)

    def flags(self):
        if self.marks is None:
            return 0
        return GATE if self.says_started else GATE | MARKS

    def release(self, lanes):
        """Leaves the end of the process to the interpreter."""
        flush_ours()
        self.out.say()
        flush_others()
        self.attending = False
        self.gathering.set()
        finish.begin(self.patience)
        if self.threads > 1:
            for lane in lanes:
                lane.join()
        close_loop()  # that of the only lane, or of Options.Init
        self.functions.__init__()  # the modules of tasks are taken apart, with the files that they have open

    def stay(self, e=None):
        """Returns in the worker. In a child that a task has forked it does not."""
        if not self.here[0]:
            forks.leave(e)

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
                    break  # the main thread says the rest
                self.calls(lane, frame)
        except BaseException as e:
            self.fail(e)
        self.over.put(lane)
        close_loop()

    def fail(self, e):
        """Ends the process, whatever threads run, because this thread cannot continue. A task may have replaced
        code that writes the traceback: if that hangs, the process ends after a second."""
        self.stay(e)
        start_new_thread(exit_after, (1, 1))
        if errors.derives(type(e), Gone):
            print("concert: from the pool came", e, file=sys.stderr)
            self.end(112)
        try:
            sys.excepthook(type(e), e, errors.traceback_of(e))
        finally:
            self.end(1)

    def end(self, code):
        """Exits at once: the worker is of no use."""
        try:
            flush_ours()
            self.out.say()
            flush_others()
        finally:
            os._exit(code)

    # Calls.

    def parse(self, frame):
        seq, _, n = struct.unpack_from("<IqH", frame, 1)  # the pool sees to the deadline
        name = str(frame[15 : 15 + n], "utf-8", "surrogateescape")  # no function has a name that is not UTF-8
        (count,) = struct.unpack_from("<H", frame, 15 + n)
        at = 17 + n
        args = []
        view = memoryview(frame)
        for _ in range(count):
            (size,) = UINT32.unpack_from(frame, at)
            end = at + 4 + size
            args.append(frame[at + 4 : end] if size <= LARGE else view[at + 4 : end])
            at = end
        return seq, name, args

    def calls(self, lane, frame):
        """Runs the calls of a frame.

        A small call takes less time than a few locks, so there is none where listen has said
        nothing. This is how a lane and listen get along:

        1. The lane writes which call it begins, and then looks whether listen is at it, or has
           left word about calls. If so it asks again, with the lock.
        2. Listen, with the lock, says that it is at it, and then looks what the lane runs.
        3. The lane writes that it runs nothing any more, and then looks whether listen is at it.

        One of the two sees the other. That takes the GIL: without it there is always the lock.

        So do a lane and the pool, which takes calls back although this process may be stopped:

        1. The lane marks in the journal which call it begins, and then reads there how often the pool
           has asked for calls. It waits until listen has read as many questions.
        2. The pool counts its next question there, then reads what is marked, and asks for calls
           that are not.

        The fence keeps the processor from reading before it writes. A slot with the number of another frame
        means that the pool has taken all of this one back."""
        seq, name, args = self.parse(frame)
        mark = SLOTS_AT + seq % SLOTS
        marks = self.marks
        if marks is not None and marks[mark] >> 32 != seq:
            args = ()
        begun = time.perf_counter_ns()
        for index, arg in enumerate(args):
            lane.id = call = seq, index
            self.begin[seq] = index + 1
            dropped = 0
            if marks is not None:
                marks[mark] = seq << 32 | index + 1 << 16
                lane.fence.release()
                lane.fence.acquire()
                asked = marks[GATE_AT]
                while self.asked < asked:
                    time.sleep(0.0005)
            if self.heard or self.given_back or self.canceled or self.free:
                with self.lock:
                    if index >= self.given_back.get(seq, EVER):
                        break
                    dropped = self.canceled.pop(call, 0)
            if self.says_started and not dropped:
                self.out.put(ord("S"), struct.pack("<II", seq, index))
            begun = self.call(lane, call, name, arg, dropped, begun)
        with self.lock:
            del self.begin[seq]
            self.given_back.pop(seq, None)
            if self.canceled:
                self.canceled = {c: why for c, why in self.canceled.items() if c[0] != seq}

    def call(self, lane, call, name, arg, dropped, begun):
        """Runs one call, and returns when it ended; dropped is the reason if it is canceled already, or 0. A
        cancellation is an exception that comes between any two steps while lane.running is True; what is outside
        of that must not be torn by it."""
        kind = value = failure = None
        f = self.functions.known.get(name)
        if f is None and not dropped:
            try:
                f = self.functions.find(name)  # not to be interrupted: half a module is of no use
                self.stay()
            except BaseException as e:
                self.stay(e)
                return self.answer(lane, call, begun, None, None, errors.describe(e))
        step = 0  # 1: run, 2: described, 3: not to be interrupted any more
        while step < 3:
            try:
                if step == 0:
                    step = 1
                    lane.why = dropped
                    lane.interrupted = dropped > 0  # then listen does not: it comes once
                    lane.running = True
                    if self.heard or self.canceled or self.free:
                        with self.lock:
                            dropped = dropped or self.canceled.pop(call, 0)
                            if dropped:
                                lane.interrupted, lane.why = True, dropped
                    if dropped:
                        raise Canceled()
                    try:
                        if "asyncio" in modules:
                            set_loop()
                        result = f(self.argument(arg))
                        if not self.here[0]:
                            forks.leave()
                        kind, value = values.encode(result)
                    except BaseException as e:
                        if not self.here[0]:
                            forks.leave(e)
                        kind = None
                        failure = errors.describe(e, lane.why, True)
                    step = 2
                lane.running = False
                if self.heard or lane.interrupted or self.free:
                    with self.lock:  # listen has done what it was at
                        lane.running = False
                    if lane.interrupted:
                        set_async_exception(lane.thread, None)  # it may not have come yet
                        lane.interrupted = False
                step = 3
            except Canceled:
                if step == 1:
                    kind = None  # before it ran, or while it was described
                    step = 2
        return self.answer(lane, call, begun, kind, value, failure)

    def answer(self, lane, call, begun, kind, value, failure):
        """Says what came of a call, and returns when it ended."""
        now = time.perf_counter_ns()
        if failure is None and kind is None:
            failure = errors.describe(Canceled(), lane.why)
        if self.outcome(call, now, now - begun, kind, value, failure):
            flush_standard()
        elif not self.gathering.is_set():
            self.gathering.set()
        return now

    def outcome(self, call, now, ran, kind, value, failure):
        """Puts the frame together; True if all that was to be said is in the pipe."""
        seq, index = call
        if failure is None and len(value) > 1 << 30:
            failure = errors.describe(ValueError("the result has %d bytes, more than %d" % (len(value), 1 << 30)))
        if failure is not None:
            return self.out.outcome(now, FAILURE.pack(17 + len(failure), ord("F"), seq, index, ran), failure)
        n = len(value)
        if n > LARGE and self.places is not None:
            with self.sending:  # places are given back in the order of the results
                at = self.places.take(n)
                if at is not None:
                    self.arena[self.half + at : self.half + at + n] = value
                    return self.out.outcome(now, SHARED.pack(35, ord("R"), seq, index, ran, 1, kind, at, n))
        head = RESULT.pack(19 + n, ord("R"), seq, index, ran, 0, kind)
        return self.out.outcome(now, head + value) if n < 4096 else self.out.outcome(now, head, value)

    def argument(self, arg):
        if not arg[0]:
            return values.decode(arg[1], arg[2:])
        offset, n = struct.unpack_from("<QQ", arg, 2)
        if self.arena is None or offset + n > self.half:
            raise Gone("an argument where no memory is")
        return values.decode(arg[1], self.arena[offset : offset + n])


def exit_after(seconds, code):
    time.sleep(seconds)
    os._exit(code)


def set_async_exception(thread, kind):
    try:
        ctypes = own("ctypes")
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None)
    except (ImportError, AttributeError):
        pass  # a Python without it: the pool's patience ends, and it kills


def running(lane):
    """The coroutine that a thread runs; None if there is none."""
    coroutines = loaded("concert.coroutines")
    return coroutines.running.get(lane.thread) if coroutines is not None else None


def set_loop():
    """Makes the event loop of a lane the one of asyncio."""
    if threading.get_ident() in current.lanes:
        try:
            own("concert.coroutines").current()
        except Exception:
            pass  # there are no more files, or asyncio has another policy: coroutines will say so


def close_loop():
    """Ends the event loop of this thread, if it has one."""
    coroutines = loaded("concert.coroutines")
    if coroutines is not None:
        try:
            coroutines.close()
        except BaseException as e:
            sys.excepthook(type(e), e, e.__traceback__)


def equip(concert, worker):
    """Adds progress and Canceled to the module concert, which tasks can import."""

    def progress(done, total=0):
        """Says how far the task is: so many of so many units, 0 if that is not known."""
        amounts = struct.pack("<qq", int(done), int(total))
        if not worker.here[0]:
            return  # in a child, which is no task
        with worker.lock:  # meanwhile nobody interrupts, and who has been is not to tear a frame
            lane = worker.lanes.get(threading.get_ident())
            if lane is None and worker.threads == 1:
                (lane,) = worker.lanes.values()  # a thread of the task's own: the task is not to end now
                worker.heard = True
            if lane and lane.running and worker.report and not lane.interrupted:
                worker.out.put(ord("P"), struct.pack("<II", *lane.id), amounts)
            worker.heard = False

    concert.progress = progress
    concert.Canceled = Canceled


def main():
    try:
        import faulthandler

        faulthandler.enable(all_threads=False)
    except Exception:
        pass
    try:
        sys.stdout.reconfigure(line_buffering=True)
    except Exception:
        pass
    global current
    current = worker = Worker()
    imports.finder.imported_asyncio = set_loop
    equip(sys.modules["concert"], worker)
    forks.register(worker)
    finish.register()
    try:
        worker.run()
    except BaseException as e:
        worker.fail(e)
