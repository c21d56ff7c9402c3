"""Coroutines, each run to its end on the event loop of its thread."""

import asyncio
import os
import selectors
import threading

from concert import forks
from concert.errors import Canceled
from concert.imports import private

asyncio, os, selectors, threading = map(private, (asyncio, os, selectors, threading))

local = threading.local()  # loop: of each thread that has run a coroutine
running = {}  # by number of thread


class Run:
    """A coroutine that runs."""

    def __init__(self, loop, task):
        self.loop = loop
        self.task = task
        self.heard = threading.Event()  # the task has been asked to end, or is not to be any more

    def cancel(self):
        """Has the loop cancel the task. It is called by another thread."""
        try:
            self.loop.call_soon_threadsafe(self.ask)
        except RuntimeError:
            pass  # the loop was closed by the task

    def ask(self):
        if not self.heard.is_set():
            self.heard.set()
            self.task.cancel()


def current():
    """Returns the event loop of this thread, and makes it the current loop of asyncio. A task that is not a coroutine
    gets this loop from asyncio.get_event_loop, so an awaitable that it makes, such as a gather, runs in this loop. The
    worker calls current before each task, and when a task imports asyncio: an asyncio.run of an earlier task leaves no
    current loop."""
    loop = getattr(local, "loop", None)
    if loop is None or loop.is_closed():
        loop = local.loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def run(awaitable):
    """Returns what comes of a coroutine, or of another awaitable. The loop stays, with the tasks that the
    coroutine leaves: they go on when the next one runs in this thread."""
    loop = current()
    if asyncio.isfuture(awaitable):
        loop = awaitable.get_loop()  # perhaps one that the task has made
    task = asyncio.ensure_future(awaitable, loop=loop)
    thread = threading.get_ident()
    running[thread] = this = Run(loop, task)
    try:
        return complete(loop, task)
    except asyncio.CancelledError as e:
        if not this.heard.is_set():
            raise
        raise Canceled() from e
    except Canceled:
        if not task.done():  # it came between two steps of the loop
            task.cancel()
            complete(loop, asyncio.gather(task, return_exceptions=True))
        raise
    finally:
        running.pop(thread, None)


def complete(loop, task):
    """Runs the loop until a task is done, and returns its result. It is run_until_complete, but only the task itself
    can end it by stopping the loop, and is canceled then: it goes on when another one does, or raises SystemExit.
    And it looks at no exception of the task."""
    kind, ended, own, canceled = type(loop), [], [], False

    def stop():
        if asyncio.current_task(loop) is task:
            own.append(True)
        kind.stop(loop)

    def end(_):
        ended.append(True)
        kind.stop(loop)

    task.add_done_callback(end)
    try:
        loop.stop = stop
        while not ended:
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as e:
                if not task.done():
                    loop.call_exception_handler({"message": "another task, or a callback, raised what ends a program", "exception": e})
            if own and not task.done() and not canceled:
                canceled = task.cancel()
    finally:
        del loop.stop
        task.remove_done_callback(end)
    if canceled and task.cancelled():
        raise RuntimeError("the task has stopped its event loop, and was not done")
    return task.result()


def forked():
    """Is called in a child that a coroutine, or a callback of its loop, has forked. The child has a copy of the
    loop, which would run the parent's other tasks, and wake one that waits for the task that forked. So only that
    task continues in the child:

    1. Callbacks that are due, and timers, are canceled. Those of the task are replaced by one that ends the child.
    2. The loop gets a selector of its own, without the parent's files: the old one is shared with the parent.
    3. The step that forked continues while no loop is running, so the child may call asyncio.run. When the step
       is over, apart has the loop run again.

    A loop that is not asyncio's own has no _ready, and only the end of its task ends the child."""
    run = running.get(threading.get_ident())
    if run is None:
        return
    running.clear()
    loop, task = run.loop, asyncio.current_task(run.loop)
    ready = getattr(loop, "_ready", None)
    if ready is not None:
        for handle in list(ready) + list(loop._scheduled):
            handle.cancel()
        ready.appendleft(asyncio.Handle(apart, (loop, task), loop))
        loop._selector.close()
        loop._selector = selectors.DefaultSelector()
        parents = loop._ssock, loop._csock  # by which threads wake the loop
        loop._make_self_pipe()
        for socket in parents:
            socket.close()
    if task is not None:
        for callback, _ in list(getattr(task, "_callbacks", None) or ()):
            task.remove_done_callback(callback)
        task.add_done_callback(left)


def apart(loop, task):
    """Is the first callback of the loop in a child."""
    if task is None:
        forks.leave()  # a callback has forked
    asyncio._set_running_loop(loop)


def left(task):
    """Ends a child, whose task is done."""
    forks.leave(asyncio.CancelledError() if task.cancelled() else task.exception())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forked)  # after asyncio's own


def close():
    """Ends the loop of this thread, as asyncio.run does."""
    loop = getattr(local, "loop", None)
    if loop is None or loop.is_closed():
        return
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            complete(loop, asyncio.ensure_future(asyncio.wait(tasks), loop=loop))
        for task in tasks:
            if not task.cancelled() and task.exception() is not None:
                loop.call_exception_handler(
                    {"message": "a task failed when the event loop was closed", "exception": task.exception(), "task": task}
                )
        complete(loop, loop.create_task(loop.shutdown_asyncgens()))
        if hasattr(loop, "shutdown_default_executor"):  # since 3.9
            complete(loop, loop.create_task(loop.shutdown_default_executor()))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
