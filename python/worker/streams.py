"""Sends the values of a python.Stream to the program, through a socket.

The first value is sent at once. Each later value is sent when the program has requested it by a byte. So the
generator is at most one value ahead of the program.

    length of the rest uint32 | kind byte | bytes            to the program
    one byte                                                 from the program
"""

import struct
import sys

from concert import values
from concert.imports import own

POLL = 0.1  # seconds; a thread that waits for the socket can be interrupted after this time
HEAD = struct.Struct("<IB")


def stream(result, path, worker):
    """Sends the items of an iterable or an asynchronous iterable. Returns the number of items."""
    out = Stream(path, worker)
    if not hasattr(type(result), "__aiter__"):
        return out.each(result)
    return own("concert.coroutines").run(out.each_async(result))


class Stream:
    def __init__(self, path, worker):
        self.worker = worker
        self.socket = own("socket")
        self.conn = self.socket.socket(self.socket.AF_UNIX)
        self.conn.connect(path)
        self.conn.settimeout(POLL)
        self.n = 0

    def each(self, iterable):
        items = None
        try:
            items = iter(iterable)
            for item in items:
                if not self.deliver(item):
                    break
        finally:
            self.shield()
            try:
                if hasattr(items, "close"):
                    items.close()
            finally:
                self.close()
        return self.n

    async def each_async(self, iterable):
        items = None
        try:
            items = type(iterable).__aiter__(iterable)
            async for item in items:
                if not self.deliver(item):
                    break
        finally:
            self.shield()
            try:
                if hasattr(items, "aclose"):
                    await items.aclose()
            finally:
                self.close()
        return self.n

    def deliver(self, item):
        """Waits until the program requests an item, and sends it. Returns False if the program has closed the
        socket."""
        self.worker.end_if_forked()  # if the generator has forked a child, the child ends here
        kind, data = values.encode(item)
        if self.n > 0 and not self.wanted():
            return False
        for part in (HEAD.pack(len(data) + 1, kind), data):
            view = memoryview(part).cast("B")
            while view:
                try:
                    view = view[self.conn.send(view) :]
                except self.socket.timeout:
                    pass
                except OSError:
                    return False
        self.n += 1
        return True

    def wanted(self):
        """Waits until the program requests an item. Returns False if the program has closed the socket."""
        while True:
            try:
                return bool(self.conn.recv(1))
            except self.socket.timeout:
                pass
            except OSError:
                return False

    def shield(self):
        """Prevents further interruptions of the task, so that the generator can clean up."""
        self.worker.end_if_forked(sys.exc_info()[1])
        try:
            self.worker.shield()
        except BaseException:
            pass  # Canceled was raised just before

    def close(self):
        try:
            self.conn.shutdown(self.socket.SHUT_RDWR)  # a child may have the socket open, too
        except OSError:
            pass
        self.conn.close()
