"""Results that go to the pool's process one by one: those of python.Stream.

They go through a socket, and each is sent when it is asked for; the first one at once:

    length of what follows uint32 | kind byte | bytes        to Go
    one byte                                                 from Go

So the generator is at most one item ahead."""

import struct
import sys

from concert import values
from concert.imports import own

POLL = 0.1  # seconds after which a thread that waits can be interrupted
HEAD = struct.Struct("<IB")


def stream(result, path, worker):
    """Sends the items of an iterable, or of an asynchronous one, and returns how many there were."""
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
        """Sends an item when it is asked for. False if no more are."""
        self.worker.stay()  # a child of the generator's ends here
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
        while True:
            try:
                return bool(self.conn.recv(1))
            except self.socket.timeout:
                pass
            except OSError:
                return False

    def shield(self):
        """Lets the generator clean up: the task is not interrupted from here on."""
        self.worker.stay(sys.exc_info()[1])
        try:
            self.worker.shield()
        except BaseException:
            pass  # it came just before

    def close(self):
        try:
            self.conn.shutdown(self.socket.SHUT_RDWR)  # a child may have it, too
        except OSError:
            pass
        self.conn.close()
