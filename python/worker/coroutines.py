"""Runs coroutines on the event loop of their thread. Each thread has one loop, which it keeps."""

import asyncio
import os
import selectors
import threading

from concert import forks
from concert.errors import Canceled
from concert.imports import private

asyncio, os, selectors, threading = map(private, (asyncio, os, selectors, threading))

local = threading.local()  # local.loop is the event loop of the thread
running = {}  # the Run of each thread that runs a coroutine, by the identifier of the thread


class Run:
    """A coroutine that a thread runs, and its cancellation."""

    def __init__(self, loop, task):
        self.loop = loop
        self.task = task
        self.handled = False  # the task was canceled, or must not be canceled

    def cancel(self):
        """Makes the loop cancel the task. Another thread calls this method."""
        try:
            self.loop.call_soon_threadsafe(self.ask)
        except RuntimeError:
            pass  # the task has closed the loop

    def ask(self):
        if not self.handled:
            self.handled = True
            self.task.cancel()


def current():
    """Returns the event loop of this thread, and makes it the current loop of asyncio. A task that is not a
    coroutine gets this loop from asyncio.get_event_loop. So an awaitable that the task makes, for example by
    asyncio.gather, runs in this loop. The worker calls this function when a task imports asyncio. It also calls
    this function before each task: if an earlier task has called asyncio.run, there is no current loop."""
    loop = getattr(local, "loop", None)
    if loop is None or loop.is_closed():
        loop = local.loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def run(awaitable):
    """Runs a coroutine, or another awaitable, and returns its result. The coroutine may have started other tasks of
    asyncio. The loop keeps these tasks, and they continue while the next coroutine runs in this thread."""
    loop = current()
    if asyncio.isfuture(awaitable):
        loop = awaitable.get_loop()  # the task may have made its own loop for the awaitable
    task = asyncio.ensure_future(awaitable, loop=loop)
    thread = threading.get_ident()
    running[thread] = this = Run(loop, task)
    try:
        return complete(loop, task)
    except asyncio.CancelledError as e:
        if not this.handled:
            raise
        raise Canceled() from e
    except Canceled:
        if not task.done():  # Canceled was raised in the code of the loop, and not in the code of the task
            task.cancel()
            complete(loop, asyncio.gather(task, return_exceptions=True))
        raise
    finally:
        running.pop(thread, None)


def complete(loop, task):
    """Runs the loop until a task is done, and returns its result. The differences from run_until_complete are:

    - If the task stops the loop, the task is canceled. If another task stops the loop, the loop still continues.
    - If another task raises SystemExit or KeyboardInterrupt, the loop still continues.
    - If the task itself raises one of these exceptions, complete raises it like any other exception."""
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
                    loop.call_exception_handler({"message": "another task or a callback raised an exception that ends a program", "exception": e})
            if own and not task.done() and not canceled:
                canceled = task.cancel()
    finally:
        del loop.stop
        task.remove_done_callback(end)
    if canceled and task.cancelled():
        raise RuntimeError("the task has stopped its event loop before the task was done")
    return task.result()


def after_fork():
    """Prepares a child that was forked by a coroutine, or by a callback of its loop. The child has a copy of the
    loop. This copy must not run the other tasks of the parent. So only one task continues in the child: the task
    that has called fork. The steps:

    1. The callbacks and timers of the loop are canceled. The callbacks of the task are replaced by a callback that
       ends the child.
    2. The loop gets a new selector, because the child shares the old one and its files with the parent.
    3. The code that called fork continues while no loop is running, so it can call asyncio.run. When it returns
       to the loop, resume_loop makes the loop run again.

    If the loop is not a loop of asyncio, it has no _ready. In this case, only the end of the task ends the
    child."""
    run = running.get(threading.get_ident())
    if run is None:
        return
    running.clear()
    loop, task = run.loop, asyncio.current_task(run.loop)
    ready = getattr(loop, "_ready", None)
    if ready is not None:
        for handle in list(ready) + list(loop._scheduled):
            handle.cancel()
        ready.appendleft(asyncio.Handle(resume_loop, (loop, task), loop))
        loop._selector.close()
        loop._selector = selectors.DefaultSelector()
        parents = loop._ssock, loop._csock  # the parent's sockets: other threads write to them to wake the loop
        loop._make_self_pipe()
        for socket in parents:
            socket.close()
    if task is not None:
        for callback, _ in list(getattr(task, "_callbacks", None) or ()):
            task.remove_done_callback(callback)
        task.add_done_callback(end_after_task)


def resume_loop(loop, task):
    """Continues the loop in a child. It is the first callback of the loop there; see after_fork."""
    if task is None:
        forks.end_child()  # fork was called by a callback, not by a task
    asyncio._set_running_loop(loop)


def end_after_task(task):
    """Ends a child when the task that has called fork is done."""
    forks.end_child(asyncio.CancelledError() if task.cancelled() else task.exception())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)  # after the function that asyncio has registered


def close():
    """Cancels the tasks of this thread's loop and closes the loop, as asyncio.run does."""
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
