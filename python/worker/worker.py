"""A worker of a concert pool: it reads calls, runs them, and writes their outcomes.

It needs CPython 3.8 or later and the standard library. The protocol is in docs/wire.md, and the
encoding of values in python/marshal.go.
"""

import importlib
import mmap
import os
import struct
import sys
import threading
import time
from _queue import SimpleQueue  # the modules queue and signal would be slower to import
from _signal import SIGINT
from _signal import signal as handle
from _thread import start_new_thread

from concert import errors, finish, forks, functions, imports, mapped, quick, results, shared, tracing, values
from concert.errors import Canceled, ProtocolError
from concert.forks import flush_replaced, flush_original, flush_streams
from concert.imports import loaded, modules, own, private
from concert.lists import ATTENTION
from concert.results import GATE_AT, SLOTS, SLOTS_AT

importlib, os, struct, threading, time = map(private, (importlib, os, struct, threading, time))

VERSION, MARKS, GATE, LISTS, FILES, TRACES = 1, 2, 4, 8, 16, 32
CALL, CALL_LIST, CALL_MAPPED, TRACE = ord("C"), ord("N"), ord("M"), ord("K")
LARGE = 16 << 10
RESULT = struct.Struct("<IBIIqBB")
SHARED = struct.Struct("<IBIIqBBQQ")
FAILURE = struct.Struct("<IBIIq")
HEAD = struct.Struct("<IqH")
UINT16, UINT32 = struct.Struct("<H"), struct.Struct("<I")
NO_INDEX = 1 << 40  # greater than the index of every call
CANCEL_TIME = 0.05  # seconds within which an event loop that does not compute cancels its task


class Runner:
    """A thread that runs calls sequentially."""

    def __init__(self, marks):
        self.seq = self.index = 0  # the number of the frame, and the index, of the current or the last call
        self.marks = marks
        self.mark = None  # the index of the mark in marks while the module lists runs calls, and otherwise None
        self.gate = 0  # used by the module lists
        self.target = -1  # used by the module lists: the index of the call that was interrupted, or -1
        self.running = False  # whether the function of the call runs
        self.interrupted = False  # whether the call was already interrupted, or must not be interrupted
        self.mapped = False  # whether the pool maps the results of the calls
        self.trace = None  # the text for distributed tracing of the current or the last frame of calls, or None
        self.why = 0  # the reason of the cancellation, a key of errors.REASONS
        self.thread = 0  # the identifier of the thread
        self.fence = threading.Lock()  # used only by this thread, as a fence; see Worker.calls
        self.fence.acquire()

    def current(self):
        """Returns the number of the frame, and the index, of the current or the last call."""
        mark = self.mark
        return self.seq, self.index if mark is None else self.marks[mark] - 1


class Worker:
    """The state of this process. The pool sends calls in frames. One runner runs all calls of a frame:

    Options.Threads 1    the main thread is the runner: it reads a frame, and runs the calls
    more                 the main thread reads frames, and puts them into a queue for the runners

    There are two more threads. The listening thread reads the control pipe; see listen. The flushing thread writes
    outcomes to the pipe while a call runs; see flush_outcomes."""

    def __init__(self):
        setup = dict(part.split("=", 1) for part in os.environ.pop("CONCERT_WORKER").split()[1:])
        if os.environ.pop("CONCERT_PYTHON_TUNED", None):
            os.environ.pop("GLIBC_TUNABLES", None)  # the setting is for this process, not for its children
        self.thread_time = float(os.environ.pop("CONCERT_PYTHON_THREAD_TIME", "1"))
        self.in_worker = forks.worker_flag()
        files = [int(fd) for fd in setup["files"].split(",")]
        for fd in files:
            os.set_inheritable(fd, False)
        for fd in files[:3]:
            os.set_blocking(fd, True)
        socket = int(setup["shared"]) if setup["shared"] != "-" else None  # the socket of shared values
        if socket is not None:
            os.set_inheritable(socket, False)
        self.tasks, out, self.control = files[:3]
        self.files = files[:3] + ([socket] if socket is not None else [])
        self.socket = socket if mapped.can_give(socket) else None  # for the memory of results, or None
        journal = mmap.mmap(files[3], 0) if len(files) > 3 else None
        self.out = results.Results(out, journal)
        self.arena = self.allocator = None
        if len(files) > 4:
            self.arena = memoryview(mmap.mmap(files[4], 0))
            self.half = len(self.arena) // 2
            self.allocator = results.Allocator(self.half, self.out.words)
        for fd in files[3:]:
            os.close(fd)
        self.prepare = setup["prepare"] == "true"
        self.report = setup["report"] == "true"
        self.threads = int(setup["threads"])
        # Without the GIL, a thread may see a write of another thread late, unless both threads use a lock.
        self.no_gil = not getattr(sys, "_is_gil_enabled", lambda: True)()
        # If a thread writes, releases a lock and then reads, a processor other than x86 may execute the read before
        # the write.
        self.reorders = os.uname().machine not in ("x86_64", "i686") if hasattr(os, "uname") else True
        self.marks = self.out.words  # None without a journal
        # A worker with one thread and a journal sets a mark in the journal when a call begins. Any other worker
        # sends Started.
        self.sends_started = self.threads > 1 or self.marks is None
        self.uses_list = not self.sends_started and not self.no_gil and sys.byteorder == "little"
        self.quick = None  # the loop of quick.py; None if this worker does not use it
        self.read = b""  # bytes that were read
        self.returned = 0  # number of these bytes whose frames the method next has returned
        self.frames = SimpleQueue()  # frames for runners that are not the main thread
        self.functions = functions.Functions()
        self.shared = shared.Receiver(self, socket)
        self.sending = threading.Lock()  # held while a result is written to the arena and sent
        self.unflushed = False  # whether there may be outcomes to flush
        self.wake = SimpleQueue()  # wakes flush_outcomes; threading.Event uses builtins, which a task may break
        self.flushing = True  # whether flush_outcomes must continue to run
        self.ended = SimpleQueue()  # receives each runner that has ended
        self.lock = threading.Lock()  # guards the fields below and those of runners; see calls
        self.control_busy = False  # whether the listening thread is reading or changing the fields below
        self.runners = {}  # by identifier of thread
        self.expected = 0  # the number of the next frame
        self.next_call = {}  # by frame number, the index of the next call of each frame that has arrived and has not ended
        self.canceled = {}  # the reasons of canceled calls that have not begun, by call
        self.given_back = {}  # the index of the first call that was given back, by frame number
        self.take_backs = 0  # number of TakeBacks that were received

    # Reading frames.

    def next(self):
        """Returns the next frame, or None at the end of the pipe."""
        while True:
            read, at = self.read, self.returned
            have = len(read) - at
            need = 4 + UINT32.unpack_from(read, at)[0] if have >= 4 else 4
            if have >= need > 4:
                frame = bytes(read[at + 4 : at + need])
                self.read, self.returned = (b"", 0) if have == need else (read, at + need)
                return frame
            flush_original()
            self.out.flush()  # the outcomes of earlier calls
            flush_replaced()
            b = os.read(self.tasks, min(max(64 << 10, need - have), 1 << 20))
            if not b:
                if have > 0:
                    raise ProtocolError("the pipe of tasks ends within a frame")
                return None
            self.returned = 0
            if have == 0:
                self.read = b
            elif at == 0 and type(read) is bytearray:
                read += b  # the frame is large
            else:
                self.read = bytearray(read[at:]) + b

    def listen(self):
        """Reads the control pipe until the pool has ended."""
        try:
            self.read_control()
        except BaseException as e:
            self.fail(e)

    def read_control(self):
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
                elif kind == b"W":
                    self.report = True

    def flush_outcomes(self):
        """Writes to the pipe the outcomes that runners have left in memory. No outcome stays in memory, for this
        reason:

        1. a runner first leaves an outcome in memory, and then sets unflushed if it is not set;
        2. this method first clears unflushed, and then flushes outcomes.

        If the runner finds that unflushed is already set, this method clears unflushed later, and then flushes the
        outcome."""
        while self.flushing:
            self.wake.get()
            quiet = 0
            while quiet < 10 and self.flushing:
                time.sleep(0.002)
                quiet = 0 if self.flush() else quiet + 1
                flush_original()
            self.unflushed = False
            for runner in self.runners.values():
                runner.gate = ATTENTION  # so that the runner wakes this thread before it stores more results in the list
            if self.flush():
                self.wake_flusher()

    def flush(self):
        """Writes to the pipe the outcomes of all calls that have ended. Returns False if there were no outcomes to
        write."""
        if self.out.mark is not None:
            with self.lock:
                self.out.collect_ended()
        return self.out.flush()

    def wake_flusher(self):
        self.unflushed = True
        self.wake.put(None)

    def is_future(self, seq):
        """Returns whether the frame with this number has not arrived yet."""
        return (seq - self.expected) & 0xFFFFFFFF < 1 << 31

    def cancel(self, call, why):
        """Interrupts a call that runs. If the call has not begun, stores the cancellation."""
        seq, index = call
        with self.lock:
            self.control_busy = True
            for runner in self.runners.values():
                runner.gate = ATTENTION
                if runner.running and runner.current() == call and not runner.interrupted:
                    runner.interrupted = True
                    runner.target = index
                    runner.why = why
                    self.interrupt(runner, call)
            if self.is_future(seq) or index >= self.next_call.get(seq, NO_INDEX) - 1:
                self.canceled[call] = why  # the call has not begun, has ended, or was interrupted above
            self.control_busy = False

    def interrupt(self, runner, call):
        """Makes the function of a call end. A coroutine is canceled by its event loop. In other functions,
        Canceled is raised at the next step. The caller holds the lock."""
        run = running(runner)
        if run is None:
            set_async_exception(runner.thread, Canceled)
            return
        run.cancel()
        start_new_thread(self.interrupt_busy, (runner, call, run))

    def interrupt_busy(self, runner, call, run):
        """Raises Canceled in a coroutine if the coroutine computes: its event loop cannot cancel it then."""
        time.sleep(CANCEL_TIME)
        with self.lock:
            self.control_busy = True
            if runner.running and runner.current() == call and not run.handled:
                set_async_exception(runner.thread, Canceled)
            self.control_busy = False

    def shield(self):
        """Makes the task of this thread continue without interruption from now on."""
        runner = self.runners.get(threading.get_ident())
        if runner is None:
            return
        with self.lock:
            if runner.interrupted:
                set_async_exception(runner.thread, None)  # removes an exception that is set, but not raised yet
            runner.interrupted = True
            runner.gate = ATTENTION
            run = running(runner)
            if run is not None:
                run.handled = True

    def take_back(self, seq, index):
        """Handles a TakeBack: gives back the calls of a frame, beginning with the call at this index, and sends the
        answer."""
        with self.lock:
            self.control_busy = True
            if seq not in self.next_call and not self.is_future(seq):
                index = 0xFFFFFFFF  # the frame has ended
            elif self.marks is not None:  # the pool has read in the journal which calls have begun
                index = self.given_back[seq] = min(index, self.given_back.get(seq, NO_INDEX))
            else:
                index = self.given_back[seq] = max(index, self.next_call.get(seq, 0))
            self.take_backs += 1
            self.control_busy = False
        self.out.put(ord("G"), struct.pack("<II", seq, index))

    # The start and the end of the worker.

    def run(self):
        handle(SIGINT, lambda *_: None)  # the pool handles Ctrl-C; programs that tasks start do not inherit this handler
        self.out.put(ord("H"), b"concert" + struct.pack("<II", VERSION, self.flags()))
        threading.Thread(target=self.listen, daemon=True, name="concert").start()
        try:
            values.check()
            path = os.environ.pop("CONCERT_PYTHON_PATH", "").split(":")
            sys.path[0:0] = [p.replace("%3A", ":").replace("%25", "%") for p in path if p]
            for name in os.environ.pop("CONCERT_PYTHON_IMPORT", "").split():
                importlib.import_module(name)
                self.end_if_forked()
            if self.prepare:
                frame = self.next()
                if frame is None:
                    return
                _, name, at, count = self.parse(frame)
                self.functions.find(name)(self.argument(self.parse_arguments(frame, at, count)[0]))
                self.end_if_forked()
        except BaseException as e:
            self.end_if_forked(e)
            self.out.put(ord("B"), errors.describe(e))
            self.end(111)
        threading.Thread(target=self.flush_outcomes, daemon=True, name="concert-out").start()
        self.out.put(ord("Y"))
        runners = [threading.Thread(target=self.run_frames, daemon=True, name="concert-%d" % i) for i in range(self.threads)]
        if self.threads > 1:
            for runner in runners:
                runner.start()
        else:
            runner = self.new_runner()
            if self.uses_list:
                self.quick = quick.new_loop(self, runner)
        trace = None  # the text of the Trace frame before the next frame of calls, or None
        while True:
            frame = self.next()
            if frame is None:
                break
            if frame[0] != CALL and frame[0] != CALL_LIST and frame[0] != CALL_MAPPED:
                if frame[0] == TRACE:
                    trace = tracing.parse(frame)
                    continue
                if self.shared.frame(frame):
                    continue
                raise ProtocolError("unknown frame type %r" % frame[:1])
            seq = UINT32.unpack_from(frame, 1)[0]
            if self.no_gil:
                with self.lock:
                    self.add_frame(seq)
            else:
                self.add_frame(seq)
            if self.threads > 1:
                self.frames.put((frame, trace))
            else:
                self.calls(runner, frame, trace)
            trace = None
        if self.threads > 1:
            for runner in runners:
                self.frames.put(None)
            for _ in runners:
                self.ended.get()
        self.release(runners)

    def add_frame(self, seq):
        self.next_call[seq] = 0  # before the next line; see calls
        self.expected = seq + 1

    def flags(self):
        flags = TRACES if self.socket is None else TRACES | FILES
        if self.marks is None:
            return flags
        if self.sends_started:
            return flags | GATE
        return flags | GATE | MARKS | LISTS if self.uses_list else flags | GATE | MARKS

    def release(self, runners):
        """Prepares the normal end of the interpreter, after the last call."""
        flush_original()
        self.out.flush()
        flush_replaced()
        self.flushing = False
        self.wake_flusher()
        finish.limit_exit(self.thread_time)
        if self.threads > 1:
            for runner in runners:
                runner.join()
        close_loop()  # the event loop of the main thread
        self.functions.__init__()  # drop the functions, so that their modules are finalized and close their files

    def end_if_forked(self, e=None):
        """Ends this process if it is a child that a task has forked. In the worker itself, it does nothing."""
        if not self.in_worker[0]:
            forks.end_child(e)

    def new_runner(self):
        runner = Runner(self.out.marks)
        runner.thread = threading.get_ident()
        with self.lock:
            self.runners[runner.thread] = runner
        return runner

    def run_frames(self):
        runner = self.new_runner()
        try:
            while True:
                if self.frames.empty():
                    self.out.flush()
                item = self.frames.get()
                if item is None:
                    break
                self.calls(runner, *item)
        except BaseException as e:
            self.fail(e)
        self.ended.put(runner)
        close_loop()

    def fail(self, e):
        """Ends the process after a failure of this thread of the worker. A task may have replaced the functions
        that write the traceback. If these functions hang, the process ends after a second."""
        self.end_if_forked(e)
        start_new_thread(finish.exit_after, (1, 1))
        if errors.derives(type(e), ProtocolError):
            print("concert: bad frame from pool:", e, file=sys.stderr)
            self.end(112)
        try:
            sys.excepthook(type(e), e, errors.traceback_of(e))
        finally:
            self.end(1)

    def end(self, code):
        """Exits at once, with this exit code."""
        try:
            flush_original()
            self.out.flush()
            flush_replaced()
        finally:
            os._exit(code)

    # Calls.

    def parse(self, frame):
        """Returns the number of a frame, the name of the function, the offset of the first argument, and the number of
        arguments."""
        seq, _, n = HEAD.unpack_from(frame, 1)  # the deadline is ignored: the pool cancels the call
        name = str(frame[15 : 15 + n], "utf-8", "surrogateescape")  # if the name is not UTF-8, the method find fails
        return seq, name, 17 + n, UINT16.unpack_from(frame, 15 + n)[0]

    def parse_arguments(self, frame, at, count):
        if frame[0] == CALL_LIST:
            head = bytes((0, frame[at]))
            data, ends = values.split(frame, at, count)
            return [head + data[i:j] for i, j in zip(ends, ends[1:])]
        args = []
        view = memoryview(frame)
        for _ in range(count):
            (size,) = UINT32.unpack_from(frame, at)
            end = at + 4 + size
            args.append(frame[at + 4 : end] if size <= LARGE else view[at + 4 : end])
            at = end
        return args

    def calls(self, runner, frame, trace):
        """Runs the calls of a frame. The parameter trace is the text of the Trace frame that came before this
        frame, or None.

        A few locks take more time than a small call. So a runner acquires the lock only if the listening thread
        is handling a cancellation or a TakeBack, or has stored one:

        1. To begin a call, the runner first writes the fields next_call and running. Then it reads the fields
           control_busy, given_back and canceled. If one of these is set, the runner acquires the lock and reads
           them again.
        2. To handle a frame, the listening thread acquires the lock and sets control_busy. Then it reads the fields
           that the runner has written.
        3. To end a call, the runner first sets running to False, and then reads control_busy.
        4. To end a frame, the runner first deletes it from next_call, and then reads the three fields of step 1. When a
           frame arrives, the main thread first adds it to next_call, and then changes expected. So a frame that is
           neither in next_call nor in the future has ended.

        Each thread writes before it reads, so at least one thread sees the write of the other thread. This is
        correct because of the GIL. Without the GIL, the runner always acquires the lock.

        The pool may take calls back. The runner and the pool must then agree which of them has a call, even if this
        process is stopped at any step:

        1. The runner sets a mark in the journal for the call that it begins. Then it reads the gate, which is the
           number of TakeBacks that the pool has sent. It waits until the listening thread has received this number
           of TakeBacks.
        2. The pool increases the gate. Then it reads the mark, and sends a TakeBack for the calls without a mark.

        The fence ensures that the processor writes before it reads. If the slot of a frame has the number of
        another frame, the pool has taken back all calls of the first frame."""
        seq, name, at, count = self.parse(frame)
        mark = SLOTS_AT + seq % SLOTS
        marks = self.marks
        runner.mapped = frame[0] == CALL_MAPPED
        runner.trace = trace
        token = None if trace is None else tracing.attach(trace)
        begun = time.perf_counter_ns()
        first = 0  # the index of the first call that quick.py has not run
        if marks is not None and marks[mark] >> 32 != seq:
            first = count
        elif self.quick is not None and not runner.mapped:
            f = self.functions.direct.get(name)
            args = quick.arguments(frame, at, count) if f is not None else None
            if args is not None:
                first, begun = self.quick(seq, f, args, begun)
        args = self.parse_arguments(frame, at, count) if first < count else ()
        for index in range(first, count):
            arg = args[index]
            call = runner.seq, runner.index = seq, index
            self.next_call[seq] = index + 1
            reason = 0
            if marks is not None:
                marks[mark] = seq << 32 | index + 1 << 16
                runner.fence.release()
                runner.fence.acquire()
                asked = marks[GATE_AT]
                while self.take_backs < asked:
                    time.sleep(0.0005)
            if self.control_busy or self.given_back or self.canceled or self.no_gil:
                with self.lock:
                    if index >= self.given_back.get(seq, NO_INDEX):
                        break
                    reason = self.canceled.pop(call, 0)
            if self.sends_started and not reason:
                self.out.put(ord("S"), struct.pack("<II", seq, index))
            begun = self.call(runner, call, name, arg, reason, begun)
        if token is not None:
            tracing.detach(token)
        del self.next_call[seq]
        if self.shared.ending:
            self.shared.delete_ended()
        if self.control_busy or self.given_back or self.canceled or self.no_gil:
            with self.lock:
                self.given_back.pop(seq, None)
                self.canceled = {c: why for c, why in self.canceled.items() if c[0] != seq}

    def call(self, runner, call, name, arg, reason, begun):
        """Runs one call, and returns the time of its end. If the call was canceled before it began, the parameter
        reason is the reason, and otherwise 0.

        Canceled may be raised between any two steps while runner.running is True. Statements that must not be
        interrupted run while runner.running is False."""
        kind = value = failure = None
        f = self.functions.known.get(name)
        if f is None and not reason:
            try:
                f = self.functions.find(name)  # not interrupted: an interrupted import would leave half a module
                self.end_if_forked()
            except BaseException as e:
                self.end_if_forked(e)
                return self.send_outcome(runner, call, begun, None, None, errors.describe(e))
        step = 0  # 1: the function runs, 2: the result is encoded, 3: the call can no longer be interrupted
        while step < 3:
            try:
                if step == 0:
                    step = 1
                    runner.why = reason
                    runner.interrupted = reason > 0  # if true, the listening thread does not interrupt the call again
                    runner.running = True
                    if self.control_busy or self.canceled or self.no_gil:
                        with self.lock:
                            reason = reason or self.canceled.pop(call, 0)
                            if reason:
                                runner.interrupted, runner.why = True, reason
                    if reason:
                        raise Canceled()
                    try:
                        if "asyncio" in modules:
                            self.set_loop()
                        result = f(self.argument(arg))
                        if not self.in_worker[0]:
                            forks.end_child()
                        kind, value = values.encode(result)
                    except BaseException as e:
                        if not self.in_worker[0]:
                            forks.end_child(e)
                        kind = None
                        failure = errors.describe(e, runner.why, True)
                    step = 2
                runner.running = False
                if self.control_busy or runner.interrupted or self.no_gil:
                    with self.lock:  # waits until the listening thread has handled its frame
                        runner.running = False
                    if runner.interrupted:
                        set_async_exception(runner.thread, None)  # removes an exception that is set, but not raised yet
                        runner.interrupted = False
                step = 3
            except Canceled:
                if step == 1:
                    kind = None  # canceled before the function ran, or while the result was encoded
                    step = 2
        return self.send_outcome(runner, call, begun, kind, value, failure)

    def end_interruption(self, runner):
        """Ensures that the listening thread no longer interrupts the runner. Canceled may be raised before this
        method returns, but not after that."""
        while True:
            try:
                runner.running = False
                with self.lock:  # waits until the listening thread has handled its frame
                    runner.running = False
                if runner.interrupted:
                    set_async_exception(runner.thread, None)  # removes an exception that is set, but not raised yet
                    runner.interrupted = False
                return
            except Canceled:
                pass

    def set_loop(self):
        """Makes the event loop of this runner the current event loop of asyncio."""
        runner = self.runners.get(threading.get_ident())
        if runner is not None:
            runner.gate = ATTENTION  # ends a group of the module lists, because asyncio.run may leave no current loop
            try:
                own("concert.coroutines").current()
            except Exception:
                pass  # for example, too many files are open; a coroutine fails with the same error later

    def send_outcome(self, runner, call, begun, kind, value, failure):
        """Sends the outcome of a call, and returns the time of its end."""
        now = time.perf_counter_ns()
        if failure is None and kind is None:
            failure = errors.describe(Canceled(), runner.why)
        if self.outcome(call, now, now - begun, kind, value, failure, runner.mapped):
            flush_streams()
        elif not self.unflushed:
            self.wake_flusher()
        return now

    def outcome(self, call, now, ran, kind, value, failure, maps):
        """Builds and adds the frame of an outcome. Returns True if all frames are in the pipe."""
        seq, index = call
        if failure is None and len(value) > 1 << 30:
            failure = errors.describe(ValueError("the result has %d bytes, more than %d" % (len(value), 1 << 30)))
        if failure is not None:
            return self.out.outcome(now, FAILURE.pack(17 + len(failure), ord("F"), seq, index, ran), failure)
        n = len(value)
        if maps and n >= mapped.MIN_MAPPED and kind in mapped.KINDS:
            with self.sending:  # so that the files have the same order as the results
                if mapped.give(self.socket, value):
                    frame = SHARED.pack(35, ord("R"), seq, index, ran, 2, kind | mapped.MAPPED, 0, n)
                    return self.out.outcome(now, frame) or self.out.flush()  # at once, because the socket has space for few files
        if n > LARGE and self.allocator is not None:
            with self.sending:  # because spans of the arena must be freed in the order of the results
                at = self.allocator.allocate(n)
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
            raise ProtocolError("an argument outside of the shared memory")
        return values.decode(arg[1], self.arena[offset : offset + n])


def set_async_exception(thread, kind):
    try:
        ctypes = own("ctypes")
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None)
    except Exception:
        pass  # this Python cannot interrupt threads, or a task broke it; the pool kills the process after the grace


def running(runner):
    """Returns the coroutine that a runner runs, or None."""
    coroutines = loaded("concert.coroutines")
    runs = getattr(coroutines, "running", None)  # also None while another thread imports the module
    return runs.get(runner.thread) if runs is not None else None


def close_loop():
    """Ends the event loop of this thread, if it has one."""
    close = getattr(loaded("concert.coroutines"), "close", None)  # also None if the import of the module was interrupted
    if close is not None:
        try:
            close()
        except BaseException as e:
            sys.excepthook(type(e), e, e.__traceback__)


def add_functions(concert, worker):
    """Adds progress and Canceled to the module concert, which tasks can import."""

    def progress(done, total=0):
        """Reports the progress of the task: the parameter done is the number of finished units of work, and total
        is the number of all units. If total is 0, the number of all units is unknown."""
        amounts = struct.pack("<qq", int(done), int(total))
        if not worker.in_worker[0]:
            return  # a child that a task has forked
        with worker.lock:  # so that the call is not interrupted while it writes a frame
            runner = worker.runners.get(threading.get_ident())
            if runner is None and worker.threads == 1:
                # This is a thread that the task has started. The call does not end while control_busy is set.
                (runner,) = worker.runners.values()
                worker.control_busy = True
            if runner and runner.running and worker.report and not runner.interrupted:
                call = runner.current()  # called only once, because the runner may begin the next call of the list
                if worker.out.collect_before(call[1]):
                    worker.out.put(ord("P"), struct.pack("<II", *call), amounts)
            worker.control_busy = False

    def trace():
        runner = worker.runners.get(threading.get_ident())
        if runner is None and worker.threads == 1:
            runner = next(iter(worker.runners.values()), None)  # a thread that the task has started
        return tracing.split(runner.trace if runner is not None else None)

    def traceparent():
        """Returns the W3C traceparent of the span to which the task belongs, or None."""
        return trace()[0]

    def tracestate():
        """Returns the W3C tracestate of the span to which the task belongs, or None."""
        return trace()[1]

    concert.progress = progress
    concert.traceparent = traceparent
    concert.tracestate = tracestate
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
    imports.finder.imported_asyncio = worker.set_loop
    add_functions(sys.modules["concert"], worker)
    forks.register(worker)
    finish.register()
    try:
        worker.run()
    except BaseException as e:
        worker.fail(e)
