"""Runs small calls that have small results. This is the fastest loop of a worker.

The loop stores results in the list of the journal. Results.collect sends many of them in one frame. If calls have
other results, the module quick runs them."""

import time
from itertools import cycle

from concert import errors, forks, functions, values
from concert.errors import Canceled
from concert.forks import flush_streams
from concert.imports import modules, private
from concert.functions import PLAIN
from concert.results import GATE_AT, MAX_LISTED, SLOTS, SLOTS_AT
from concert.values import FOREIGN

time = private(time)

SHORT, LONG = 30_000, 120_000  # minimum and maximum of the time that a group of calls should take, in nanoseconds
MAX_GROUP = 256  # maximum number of calls in a group
ATTENTION = -1  # in Runner.gate; the gate never has this value
NOTHING = object()  # stands for no result, because None can be a result


def new_loop(worker, runner):
    """Returns the loop of a runner: a function that calls f with the arguments of a frame, from index first on, and
    sends the outcomes. It expects small results of one kind, see values.py. If a result is large or has another
    kind, the function sends this result and returns. If Worker.calls must run the next call, it returns before this
    call. The results of the function are the number of calls of the frame that have ended, the time of the last
    end, and whether a result was large or had another kind.

    The comment of Worker.calls explains how the runner, the listening thread and the pool synchronize. This loop
    executes some steps only once for a group of calls:

    - The mark has a further meaning: all calls before the marked call have ended, and their results are in the
      list. The loop does not store the index of the call in the runner. Other threads call Runner.current, which
      reads the mark.
    - runner.running is True during the group. To interrupt a call, another thread first sets runner.gate to
      ATTENTION, and then reads the mark. The runner first sets the mark, and then reads runner.gate. So it does not
      begin another call after an interruption. Canceled may then be raised at any step until the group ends. In
      this case, runner.target is the index of the interrupted call. If this call has ended, its result counts.
    - Each call needs a fence. On x86, one call releases a lock, and the next call acquires it: each of these two
      steps is an atomic instruction, and thus a fence. On other processors, each call executes both steps. Between
      groups, the thread holds this lock."""
    out, words, marks, in_worker = worker.out, worker.out.words, worker.out.marks, worker.in_worker
    # For each kind: the type of most results, the list as an array of numbers or None, and a function that returns
    # the bytes of a result of this type. The function is None if the result itself is the bytes. The function
    # returns None if it cannot encode a result.
    types = {
        13: (int, out.ints, None),
        15: (float, out.floats, None),
        1: (bytes, None, None),
        2: (str, None, str.encode),
        FOREIGN: (dict, None, values.encode_dict),
    }
    write, sizes = out.stream.write, out.sizes
    clock, encode, finish = time.perf_counter_ns, values.encode, functions.finish
    release, acquire, held = runner.fence.release, runner.fence.acquire, runner.fence.locked

    def both():
        release()
        acquire()

    halves = (both,) if worker.reorders else (release, acquire)
    group = 8

    def may_run():
        """Prepares a group. Returns False if Worker.calls must run the next call, or if the function needs the
        event loop of the runner."""
        runner.gate = worker.take_backs
        if words[GATE_AT] != runner.gate or worker.control_busy or worker.canceled or worker.given_back or "asyncio" in modules:
            return False
        if not worker.unflushed:
            worker.wake_flusher()
        return True

    def run(seq, f, args, first, kind, begun):
        nonlocal group
        expected, numbers, to_bytes = types.get(kind, (None, None, None))
        count, other = len(args), False
        runner.seq = seq
        runner.mark = mark = 4 * (SLOTS_AT + seq % SLOTS) + 1
        out.open(seq, kind, first, mark, begun)
        base = first + 1  # the number of the first call in the list
        while first < count and not other and may_run():
            last = min(count, first + group)
            number = 0  # the number of the call, from 1 up; 0 before the first call of the group
            ended = left = False
            result, encoded, failure = NOTHING, None, None
            runner.why, runner.target = 0, -1
            try:
                try:
                    runner.running = True  # from now on, the listening thread may raise Canceled
                    try:
                        calls = zip(range(first + 1, last + 1), args[first:last], cycle(halves))
                        if numbers is not None:
                            for number, arg, fence in calls:
                                marks[mark] = number
                                fence()
                                if words[GATE_AT] != runner.gate:
                                    left = True
                                    break
                                result = f(arg)
                                if not in_worker[0]:
                                    forks.end_child()
                                if type(result) is not expected:
                                    other = True
                                    break
                                numbers[number - base] = result
                                result = NOTHING
                            else:
                                ended = True
                        else:
                            for number, arg, fence in calls:
                                marks[mark] = number
                                fence()
                                if words[GATE_AT] != runner.gate:
                                    left = True
                                    break
                                result = f(arg)
                                if not in_worker[0]:
                                    forks.end_child()
                                value = None
                                if type(result) is expected:
                                    value = result if to_bytes is None else to_bytes(result)
                                if value is None:
                                    if type(result) not in PLAIN:
                                        other = True
                                        break
                                    value, result = result, NOTHING
                                    encoded = encode(value)  # if a conversion raises ValueError, the call fails
                                    if encoded[0] != kind:
                                        other = True
                                        break
                                    value = encoded[1]
                                size = write(value)
                                if size > MAX_LISTED:
                                    other = True
                                    break
                                sizes[number - 1] = size
                                result, encoded = NOTHING, None
                            else:
                                ended = True
                    except ValueError:
                        # The list is full, the result is an int of more than 64 bits, or it is a text that UTF-8
                        # cannot encode.
                        if result is NOTHING and encoded is None:
                            raise
                    if (other or result is not NOTHING) and encoded is None:
                        encoded = encode(finish(result))
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

            # Send the outcomes.
            now = clock()
            if not held():
                acquire()
            if ended:
                if now - begun < SHORT and group < MAX_GROUP:
                    group *= 2
                elif now - begun > LONG and group > 1:
                    group //= 2
                out.pace = (now - begun) // (last - first)
                first, begun = last, now
                if first < count and not out.is_due(now):
                    continue
                if out.collect(first, now):
                    flush_streams()
                    begun = clock()
            elif left or not number or 0 <= runner.target < number - 1:
                first, begun = max(first, number - 1), now
                if not left and runner.target < 0:
                    break  # the group could not begin
            else:
                out.collect(number - 1)
                result_kind, value = encoded or (None, None)
                first, begun = number, worker.send_outcome(runner, (seq, number - 1), out.begun, result_kind, value, failure)
                if not other:
                    out.open(seq, kind, first, mark, begun)
                    base = first + 1
                out.sent = first
        out.collect(first)
        out.close()
        runner.index = first - 1
        runner.mark = None
        return first, begun, other

    return run
