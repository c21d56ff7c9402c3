"""Runs small calls: the inner loop of a worker that has a journal, one thread and the GIL.

Worker.calls can run every call. If a call does almost nothing, most of its time is the overhead of Worker.calls.
This loop executes the same steps with less overhead, because it calls few functions of the worker. It can only run
calls with small arguments, of a function that has run before. When the pool cancels a call or takes calls back,
Worker.calls runs the rest of the frame."""

import struct
import time

from concert import errors, forks, functions, lists, values
from concert.errors import Canceled
from concert.forks import flush_streams
from concert.functions import PLAIN
from concert.imports import modules, private
from concert.results import GATE_AT, GATHER_TIME, MAX_GATHERED, MAX_LIST, RING, RING_AT, SLOTS, SLOTS_AT, WRITTEN

struct, time = map(private, (struct, time))

MAX_FRAME = 256 << 10  # maximum size in bytes of the arguments of a frame
MAX_RESULT = 4 << 10  # maximum size in bytes of a result that the loop writes itself
INT, FOREIGN, EXTENDED = 13, 17, 1  # see values.py
MIN_LIST = 4  # minimum number of calls for lists.py
CALL_LIST, RESULT_TYPE = ord("N"), ord("R")
LEAVE = object()  # means that Worker.calls must run the call

START = struct.Struct("<IBI")
RESULT = struct.Struct("<IBIIqBB")
INT_RESULT = struct.Struct("<9sIqHq")  # begins with a START
ARGUMENT = struct.Struct("<IBB")

# Maps the first bytes of an argument that is a number to the format of the argument.
ONE_NUMBER = {ARGUMENT.pack(10, 0, kind): struct.Struct("<6x" + values.FORMATS[kind]) for kind in values.FORMATS}


def arguments(frame, at, count):
    """Decodes all arguments of a frame. The parameter at is the offset of the first argument. Returns None if the
    arguments are large, or if one of them has forms, is in the arena, or is invalid."""
    if frame[0] == CALL_LIST:
        try:
            return values.decode_list(frame, at, count)
        except Exception:
            return None  # as below
    if count == 1:
        number = ONE_NUMBER.get(frame[at : at + 6])
        if number is not None:
            return number.unpack_from(frame, at)
    if len(frame) - at > MAX_FRAME:
        return None
    args = []
    try:
        for _ in range(count):
            size, place, kind = ARGUMENT.unpack_from(frame, at)
            begin, at = at + 6, at + 4 + size
            if place or kind == FOREIGN and frame[begin] == EXTENDED:
                return None
            args.append(values.decode(kind, frame[begin:at]))
    except Exception:
        return None  # Worker.calls decodes each argument when its call begins, so only this call fails
    return args


def new_loop(worker, runner):
    """Returns the loop of a runner: a function that calls f with each of the arguments of a frame, and sends the
    outcomes. The parameter begun of this function is the current time. The function returns the number of calls
    that have ended, and the time of the last end.

    If the last result of f was small and of a plain type, the loop of lists.py runs the calls, until a result is large
    or has another kind. It does not support the event loop of the runner.

    The comment of Worker.calls explains how the runner, the listening thread and the pool synchronize. The loop differs
    from Worker.calls in these points:

    - It reads the number of TakeBacks once. When the gate changes, Worker.calls must run the call.
    - It does not increase the index in Worker.next_call. So the listening thread may store the cancellation of a
      call that has already ended. In this case, Worker.calls runs the rest of the frame, and ignores the
      cancellation.
    - It writes a result and marks the next call under one lock. The release of this lock is also the fence between
      the mark and the gate, except on processors that may reorder memory accesses around the release. After the
      last call, the mark is greater than the number of calls. The pool then uses the number of calls instead."""
    out, words, marks, in_worker = worker.out, worker.out.words, worker.out.marks, worker.in_worker
    ring, acquire, release, end = out.journal, out.lock.acquire, out.lock.release, RING_AT + RING
    fence_release, fence_acquire, reorders = runner.fence.release, runner.fence.acquire, worker.reorders
    clock, pack, write_int, encode, finish = time.perf_counter_ns, RESULT.pack, INT_RESULT.pack_into, values.encode, functions.finish

    listed = lists.new_loop(worker, runner)
    last, kind = None, None  # the function that ran last, and the kind of its last result; None: not a kind of lists.py

    def run(seq, f, args, begun):
        nonlocal last, kind
        gate = words[GATE_AT]
        index = 0
        if f is last and kind is not None and MIN_LIST <= len(args) <= MAX_LIST and "asyncio" not in modules:
            index, begun, other = listed(seq, f, args, 0, kind, begun)
            if not other or index == len(args):
                return index, begun
            args = args[index:]
        if worker.take_backs != gate or worker.given_back:
            return index, begun
        start = START.pack(27, RESULT_TYPE, seq)
        mark_at, marked = 4 * (SLOTS_AT + seq % SLOTS) + 1, False
        runner.seq = seq
        result = None
        for arg in args:
            # Begin the call.
            if not marked:
                marks[mark_at] = index + 1
            if reorders or not marked:
                fence_release()
                fence_acquire()
            runner.index = index
            runner.why = 0
            encoded = failure = None
            try:
                try:
                    runner.running = True  # from now on, the listening thread may raise Canceled
                    if words[GATE_AT] != gate or worker.canceled or worker.control_busy:
                        encoded = LEAVE
                    else:
                        if "asyncio" in modules:
                            worker.set_loop()
                        result = f(arg)
                        if not in_worker[0]:
                            forks.end_child()
                        encoded = INT if type(result) is int else encode(finish(result))
                except BaseException as e:
                    if not in_worker[0]:
                        forks.end_child(e)
                    encoded = None
                    failure = errors.describe(e, runner.why, True)
                runner.running = False
                if worker.control_busy or runner.interrupted:
                    worker.end_interruption(runner)
            except Canceled:  # raised while describe ran, or just after the call
                worker.end_interruption(runner)
            if encoded is LEAVE:
                break

            # Write the result and mark the next call. This is possible if there is room, and if no frames must be
            # written to the pipe yet.
            now = clock()
            marked = False
            if encoded is INT:
                size = 31
            elif encoded is None or len(encoded[1]) >= MAX_RESULT:
                size = 2 * RING
            else:
                kind, value = encoded
                frame = pack(19 + len(value), RESULT_TYPE, seq, index, now - begun, 0, kind) + value
                size = len(frame)
            acquire()
            try:
                written = out.written
                at = RING_AT + written % RING
                if at + size <= end and now - out.last < GATHER_TIME and written - out.flushed < MAX_GATHERED:
                    if encoded is INT:
                        write_int(ring, at, start, index, now - begun, INT << 8, result)
                    else:
                        ring[at : at + size] = frame
                    words[WRITTEN] = out.written = written + size
                    marks[mark_at] = index + 2
                    marked = True
            except struct.error:
                pass  # the result has more than 64 bits
            finally:
                release()
            if not marked:
                if encoded is INT:
                    encoded = encode(result)
                kind, value = encoded or (None, None)
                begun = worker.send_outcome(runner, (seq, index), begun, kind, value, failure)
            else:
                begun = now
                if not worker.unflushed:
                    worker.wake_flusher()
            index += 1
        if encoded is not LEAVE:
            last, kind = f, None if encoded is None or type(result) not in PLAIN else INT if encoded is INT else encoded[0]
        return index, begun

    return run
