"""Handles children that a task forks by os.fork.

A child is a copy of the worker with one thread. It runs the rest of the task's function, and ends when the
function ends. It reads no calls and sends no outcomes."""

import mmap
import os
import sys
from _signal import SIGINT, default_int_handler
from _signal import signal as handle

from concert import errors
from concert.imports import private

os = private(os)
ORIGINAL = sys.stdout, sys.stderr  # a task may replace the attributes of sys


def worker_flag():
    """Returns memory whose first byte is 1 in this process, and 0 in every child, even if C code has called
    fork."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(18)  # MADV_WIPEONFORK
    except (AttributeError, OSError, ValueError):
        page = bytearray(1)  # child sets it to 0, but only in children of os.fork
    page[0] = 1
    return page


def register(worker):
    """Makes each forked child close the pipes of the worker, and release the shared memory. Otherwise the pipes
    would stay open after the death of the worker."""

    def child():
        worker.in_worker[0] = 0
        for fd in worker.files:
            try:
                os.close(fd)
            except OSError:
                pass
        worker.files = []
        worker.out.detach()
        try:
            if worker.arena is not None:
                worker.arena.release()
        except BufferError:
            pass  # another thread was reading the arena at the fork
        try:
            handle(SIGINT, default_int_handler)
        except ValueError:
            pass

    # Flush before the fork. Otherwise both processes would write the contents of the buffers.
    os.register_at_fork(before=flush_streams, after_in_child=child)


def end_child(e=None):
    """Ends a child after the function of its task has returned, or has raised the exception e. The child gets the
    exit code and prints the traceback that a program would. end_child does not run the functions of atexit, because
    they run in the worker."""
    code = 0
    try:
        if e is not None and errors.derives(type(e), SystemExit):
            code = e.code
            if code is None:
                code = 0
            elif not isinstance(code, int):
                print(code, file=sys.stderr)
                code = 1
        elif e is not None:
            code = 1
            sys.stderr.write(errors.format_traceback(e))
        flush_streams()
    except BaseException:
        code = code or 1
    finally:
        os._exit(code & 0xFF)


def flush_original():
    """Flushes the standard output and the standard error that the worker had at its start."""
    for stream in ORIGINAL:
        try:
            stream.flush()
        except BaseException:  # a task may have closed the stream
            pass


def flush_replaced():
    """Flushes the streams that a task has assigned to sys.stdout and sys.stderr. This may hang."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not ORIGINAL[0] and stream is not ORIGINAL[1]:
            try:
                stream.flush()
            except BaseException:
                pass


def flush_streams():
    flush_replaced()
    flush_original()
