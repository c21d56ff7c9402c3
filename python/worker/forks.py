"""Children of os.fork in a task.

A child is a copy of the worker with one thread. It runs the rest of the task's function, and ends where that
ends: it never answers for the worker, nor reads its calls."""

import mmap
import os
import sys
from _signal import SIGINT, default_int_handler
from _signal import signal as handle

from concert import errors
from concert.imports import private

os = private(os)
OURS = sys.stdout, sys.stderr  # before a task has replaced them


def mark():
    """One byte in memory, which is 1 here and 0 in every child, by whatever means it was forked."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(18)  # MADV_WIPEONFORK
    except (AttributeError, OSError, ValueError):
        page = bytearray(1)  # only register cleans it
    page[0] = 1
    return page


def register(worker):
    """Has each child give up what belongs to the worker. Its copies of the pool's pipes would keep them open
    when the worker is dead."""

    def child():
        worker.here[0] = 0
        for fd in worker.files:
            try:
                os.close(fd)
            except OSError:
                pass
        worker.files = []
        worker.out.abandon()
        try:
            if worker.arena is not None:
                worker.arena.release()
        except BufferError:
            pass  # another thread was reading it
        try:
            handle(SIGINT, default_int_handler)
        except ValueError:
            pass

    # What is in a buffer at the fork would be written by both.
    os.register_at_fork(before=flush_standard, after_in_child=child)


def leave(e=None):
    """Ends a child whose task function has returned, or raised e, as Python ends a program. The handlers of
    atexit and the temporary files are the worker's."""
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
        flush_standard()
    except BaseException:
        code = code or 1
    finally:
        os._exit(code & 0xFF)


def flush_ours():
    """Flushes the standard output and error that the worker started with."""
    for stream in OURS:
        try:
            stream.flush()
        except BaseException:  # a task may have closed it
            pass


def flush_others():
    """Flushes the streams by which a task has replaced those. This may hang."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not OURS[0] and stream is not OURS[1]:
            try:
                stream.flush()
            except BaseException:
                pass


def flush_standard():
    flush_others()
    flush_ours()
