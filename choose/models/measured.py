import inspect
import os
import resource
import time

from concert.functions import Functions, finish

functions = Functions()
returned_coroutine = set()  # names of the functions that have returned coroutines; plain functions can do this, too


def is_async(where):
    """Reports whether the function is defined with async def, or has returned a coroutine in a call of measured."""
    name = "python:1:" + where
    functions.find(name)
    f = functions.direct[name]
    return (
        where in returned_coroutine
        or inspect.iscoroutinefunction(f)
        or inspect.iscoroutinefunction(getattr(f, "__call__", None))
    )


def clocks():
    return time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()


class Delay:
    """The run-queue delay of this thread. Its file stays open, so that a read is fast."""

    def __init__(self):
        self.file = open("/proc/thread-self/schedstat", "rb", buffering=0)
        self.bytes = 0
        self.read()
        self.bytes = 0  # the number of bytes that instant has read from the file

    def read(self):
        text = os.pread(self.file.fileno(), 100, 0)
        self.bytes += len(text)
        return int(text.split()[1])


def instant(delay):
    """Returns the clocks and the run-queue delay of one moment. On a busy machine the thread may lose its processor
    between reading the clocks and reading the delay. So instant reads the delay before and after the clocks. It repeats
    all reads until the two delays are equal, at most ten times."""
    after = delay.read() if delay else 0
    for _ in range(10):
        before, now, after = after, clocks(), delay.read() if delay else 0
        if before == after:
            break
    return now, after


def children_time():
    """Returns the CPU time of the children that have ended, in nanoseconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1e9)


def transferred():
    with open("/proc/thread-self/io") as f:
        lines = dict(line.split(": ") for line in f)
    return int(lines["rchar"]), int(lines["wchar"])


def memory(name):
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    raise LookupError("/proc/self/status has no " + name)


def reset_peak():
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    return memory("VmRSS")


def measured(job):
    """Calls a function with an argument, and returns what the call used."""
    name = "python:%s:%s" % (job["how"], job["where"])
    call = functions.find(name)
    if job["how"] == "1":
        call = functions.direct[name]
    missing = {}

    def attempt(what, f, *args):
        try:
            return f(*args)
        except (OSError, LookupError, ValueError, AttributeError) as e:
            missing[what] = str(e)
            return None

    resident = attempt("peak memory", reset_peak)
    delay = attempt("run-queue delay", Delay)
    before = attempt("bytes read and written", transferred)
    bytes_before = attempt("bytes read and written", transferred)
    switches = attempt("context switches", lambda: resource.getrusage(resource.RUSAGE_THREAD))
    children = children_time()
    (wall, thread, process), delayed = instant(delay)
    result = call(job["arg"])
    if hasattr(type(result), "__await__"):
        returned_coroutine.add(job["where"])
        finish(result)
    wall_after, thread_after, process_after = clocks()
    (wall_later, thread_later, _), delayed_later = instant(delay)
    used = {"wall": wall_after - wall, "cpu": thread_after - thread, "missing": missing, "threads": False}
    if process_after - process > used["cpu"] * 1.1 + 100_000:  # the function uses other threads
        used["cpu"], used["threads"] = process_after - process, True
    used["children"] = children_time() - children
    used["cpu"] += used["children"]
    after = attempt("context switches", lambda: resource.getrusage(resource.RUSAGE_THREAD))
    if switches and after:
        used["switches"], used["forced"] = after.ru_nvcsw - switches.ru_nvcsw, after.ru_nivcsw - switches.ru_nivcsw
    bytes_after = attempt("bytes read and written", transferred)
    if before and bytes_before and bytes_after:  # bytes_before - before is what one read of this file adds
        used["read"] = bytes_after[0] - 2 * bytes_before[0] + before[0] - (delay.bytes if delay else 0)
        used["written"] = bytes_after[1] - 2 * bytes_before[1] + before[1]
    if delay:
        # After the call, the thread only read clocks. So its elapsed time, without its CPU time, was run-queue delay of
        # these reads. This delay is subtracted.
        reading = (wall_later - wall_after) - (thread_later - thread_after)
        used["delay"] = max(0, delayed_later - delayed - max(0, reading))
        delay.file.close()
    if resident is not None:
        peak = attempt("peak memory", memory, "VmHWM")
        used["memory"] = max(0, (peak or resident) - resident)
    return used
