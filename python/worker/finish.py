"""The end of a worker that the pool has released: that of a Python program, within a bound."""

import atexit
import os
import sys
import threading
import time

from concert import forks
from concert.imports import own, private

os, time = map(private, (os, time))

pid = os.getpid()
bound = 1.0  # seconds
waited = threading.Event()  # the interpreter has waited for the threads that there are


def register():
    """Has last called after all other functions of atexit: they run in reverse order."""
    atexit.register(last)


def last():
    """Ends the processes that remove shared memory and semaphores which tasks have left. The pool kills what
    this process has started as soon as it has ended. They end when no process uses them, and a child that a
    task has forked may do so for long."""
    if os.getpid() != pid:
        return
    end = time.monotonic() + bound
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


def begin(patience):
    """Is called when nothing is left to do, before the main thread ends. The interpreter would then wait for
    threads that tasks have left: they get so many seconds."""
    global bound
    bound = patience / 2
    atexit.register(waited.set)
    threading.Thread(target=insist, args=(patience,), daemon=True, name="concert-end").start()


def insist(patience):
    """Does the rest without the main thread if that waits for too long."""
    if waited.wait(patience):
        return
    try:
        atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    forks.flush_standard()
    try:
        own("ctypes").CDLL(None).fflush(None)  # what code in C has printed
    except Exception:
        pass
    os._exit(0)
