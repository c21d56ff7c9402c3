"""Coroutines, each run to its end on the event loop of its thread."""

import asyncio
import threading

from concert.errors import Cancelled

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


def run(awaitable):
    """Returns what comes of a coroutine, or of another awaitable. The loop stays, with the tasks that the
    coroutine leaves: they go on when the next one runs in this thread."""
    loop = getattr(local, "loop", None)
    if loop is None or loop.is_closed():
        loop = local.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    task = asyncio.ensure_future(awaitable, loop=loop)
    thread = threading.get_ident()
    running[thread] = this = Run(loop, task)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError as e:
        if not this.heard.is_set():
            raise
        raise Cancelled() from e
    except Cancelled:
        if not task.done():  # it came between two steps of the loop
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        raise
    finally:
        running.pop(thread, None)


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
            loop.run_until_complete(asyncio.wait(tasks))
        for task in tasks:
            if not task.cancelled() and task.exception() is not None:
                loop.call_exception_handler(
                    {"message": "a task failed when the event loop was closed", "exception": task.exception(), "task": task}
                )
        loop.run_until_complete(loop.shutdown_asyncgens())
        if hasattr(loop, "shutdown_default_executor"):  # since 3.9
            loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
