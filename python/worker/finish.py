"""The end of a worker that gets no more calls. The worker ends like a Python program, but within a limited time."""

import atexit
import os
import sys
import time
from _thread import allocate_lock, start_new_thread

from concert import forks
from concert.imports import own, private

os, time = map(private, (os, time))

pid = os.getpid()
tracker_time = 1.0  # seconds for end_trackers
threads_ended = allocate_lock()  # locked until the interpreter has waited for all threads


def register():
    """Registers end_trackers before all other functions of atexit. atexit reverses the order, so end_trackers runs
    last."""
    atexit.register(end_trackers)


def end_trackers():
    """Ends the resource trackers of multiprocessing. A tracker is a child process that removes shared memory and
    semaphores of tasks. When this process ends, the pool kills all its children. So this process must first wait
    for the trackers. The time of this wait is limited: a tracker ends only when no process uses it, and a child
    that a task has forked may still use it."""
    if os.getpid() != pid:
        return
    end = time.monotonic() + tracker_time
    for name, module in list(sys.modules.items()):
        if name.rpartition(".")[2] != "resource_tracker":
            continue
        tracker = getattr(module, "_resource_tracker", None)
        fd, child = getattr(tracker, "_fd", None), getattr(tracker, "_pid", None)
        if fd is None or child is None:
            continue
        try:
            tracker._fd = tracker._pid = None
            os.close(fd)
            while os.waitpid(child, os.WNOHANG)[0] == 0 and time.monotonic() < end:
                time.sleep(0.002)
        except Exception:
            pass


def limit_exit(thread_time):
    """Limits a wait of the interpreter to thread_time seconds: at the end of the main thread, the interpreter waits
    for threads that tasks have started. The main thread calls limit_exit before it ends."""
    global tracker_time
    tracker_time = thread_time / 2
    threads_ended.acquire()
    atexit.register(threads_ended.release)
    start_new_thread(exit_without_main, (thread_time,))  # not threading.Thread: it calls builtins, which a task may have broken


def exit_without_main(thread_time):
    """If the main thread waits for too long, this thread does the rest of the interpreter's work at exit."""
    if threads_ended.acquire(True, thread_time):
        return
    try:
        atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    forks.flush_streams()
    start_new_thread(exit_after, (1, 0))  # if a task has broken the interpreter, the import may not return
    try:
        own("ctypes").CDLL(None).fflush(None)  # flushes the output of C code
    except Exception:
        pass
    os._exit(0)


def exit_after(seconds, code):
    time.sleep(seconds)
    os._exit(code)
