"""Receives shared values, and makes the objects that calls get for them. The pool sends a shared value once for
many calls.

The frames are in the pipe of tasks. A large value is a file in memory, and this file comes through a socket. This
worker maps the file, so all workers of the pool use the same memory. The mapping is for reading only, and nothing
can change the file.

Each call gets its own object, because a function may change its argument. For arrays, bytes and numbers, this
object is a view of the mapped memory. If a function keeps the object, the memory stays mapped until the object is
deleted."""

import array
import marshal
import mmap
import os
import struct
import sys

from concert import forms, values
from concert.errors import ProtocolError
from concert.imports import own, private

array, marshal, mmap, os, struct = map(private, (array, marshal, mmap, os, struct))

SHARE, UNSHARE = ord("V"), ord("U")
ID = 16  # number of bytes
SPAN = struct.Struct("<QQ")
BYTES, STRING = 1, 2  # see values.py

table = {}  # the values of this worker, by ID


class Shared:
    """A shared value. If failure is not None, this worker does not have the value."""

    def __init__(self, kind, view, failure=None):
        self.kind = kind
        self.view = view  # a read-only memoryview of the encoded value
        self.failure = failure
        self.text = None  # the value, if it is a str and a call has already used it

    def get(self):
        """Returns the value, for one call."""
        if self.failure is not None:
            raise OSError(self.failure)
        kind, view = self.kind, self.view
        if kind == values.FOREIGN and len(view) > 0 and view[0] == values.EXTENDED:
            end = 5 + int.from_bytes(view[1:5], "little")
            return forms.replace_forms(marshal.loads(view[5:end]), view[end:], BUILDERS)
        if kind == BYTES:
            return memoryview(view)
        if kind in values.TYPECODES:
            return view_numbers(view, values.TYPECODES[kind])
        if kind == STRING:
            if self.text is None:
                self.text = values.decode(kind, view)
            return self.text
        return values.decode(kind, view)


def find(key):
    """Returns the value with this ID, for one call."""
    value = table.get(key)
    if value is None:
        raise LookupError("this worker does not have the shared value: it was closed, or shared with another executor")
    return value.get()


class Receiver:
    """Receives shared values for a worker. When an Unshare arrives, the worker may still have frames whose calls
    use the value later, on another thread. So the value is deleted when these frames have ended.

    If a frame keeps one released value, it also keeps the values that were released later. So it is enough to
    examine the first elements of self.ending."""

    def __init__(self, worker, socket):
        self.worker = worker
        self.socket = socket  # the number of the file, or None
        self.unread = 0  # number of files in the socket whose Share has already arrived
        # A list of pairs, in the order of release: the ID of a released value, and the numbers of the frames that
        # may use it. Guarded by worker.lock.
        self.ending = []

    def frame(self, frame):
        """Handles a Share or an Unshare. Returns False if the frame is of another type."""
        if frame[0] == SHARE:
            self.share(frame)
        elif frame[0] == UNSHARE:
            self.unshare(frame)
        else:
            return False
        return True

    def share(self, frame):
        key, place, kind = frame[1 : 1 + ID], frame[1 + ID], frame[2 + ID]
        if key in table:
            raise ProtocolError("a second shared value with the ID %s" % key.hex())
        if place:
            table[key] = self.receive(kind, SPAN.unpack_from(frame, 3 + ID)[1])
        else:
            table[key] = Shared(kind, memoryview(frame[3 + ID :]))

    def receive(self, kind, size):
        """Receives and maps a file."""
        if self.socket is None:
            raise ProtocolError("a file of a shared value, for which this worker has no socket")
        self.unread += 1
        try:
            socket = own("_socket")
        except Exception as e:  # for example, too many files are open; the next call of receive skips the file of this value
            return Shared(kind, None, "receive a shared value: %s" % e)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, self.socket)
        try:
            s.setblocking(True)
            while True:
                data, rights, flags, _ = s.recvmsg(1, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
                if not data:
                    raise ProtocolError("the socket of shared values ends before a file")
                fds = [int.from_bytes(fd, sys.byteorder) for _, _, fd in rights]
                self.unread -= 1
                if self.unread == 0:
                    break
                for fd in fds:
                    os.close(fd)
        finally:
            s.detach()
        if flags & socket.MSG_CTRUNC:
            return Shared(kind, None, "receive a shared value: this process has too many open files")
        (fd,) = fds
        try:
            if os.fstat(fd).st_size != size:
                raise ProtocolError("the file of a shared value has %d bytes, not %d" % (os.fstat(fd).st_size, size))
            # A shared mapping of a sealed file is not permitted on Linux before 6.7, even for reading.
            options = {"trackfd": False} if sys.version_info >= (3, 13) else {}
            mapped = mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ, **options)
            return Shared(kind, memoryview(mapped))
        except OSError as e:
            return Shared(kind, None, "map a shared value of %d bytes: %s" % (size, e))
        finally:
            os.close(fd)

    def unshare(self, frame):
        key = frame[1:]
        if key not in table:
            raise ProtocolError("unknown shared value with the ID %s" % key.hex())
        with self.worker.lock:
            self.ending.append((key, set(self.worker.next_call)))
        self.delete_ended()

    def delete_ended(self):
        """Deletes released values that no remaining call can use. A runner calls it when a frame has ended.

        A runner first deletes its frame from next_call, and then reads self.ending. The method unshare first adds
        to self.ending, and then reads next_call. So at least one of the two threads notices that the value can be
        deleted."""
        with self.worker.lock:
            live = set(self.worker.next_call)  # a copy, because runners change next_call
            n = 0
            while n < len(self.ending) and self.ending[n][1].isdisjoint(live):
                del table[self.ending[n][0]]
                n += 1
            del self.ending[:n]


def view_numbers(b, typecode):
    """Returns a read-only memoryview of the numbers in b, a read-only memoryview."""
    if len(b) > 0 and sys.byteorder == "little":
        return b.cast(typecode)
    a = array.array(typecode, bytes(b))
    if sys.byteorder == "big":
        a.byteswap()
    return memoryview(a).toreadonly()


def view_array(arrays, typecode, offset, count):
    return view_numbers(arrays[offset : offset + count * array.array(typecode).itemsize], typecode)


def view_rows(arrays, typecode, offset, counts):
    """Returns a slice for each row. All slices are parts of one view of all numbers, so they need less memory than
    separate views of the bytes."""
    count = 0
    for n in counts:
        count += max(n, 0)
    numbers = view_array(arrays, typecode, offset, count)
    rows = []
    at = 0
    for n in counts:
        rows.append(numbers[at : at + n] if n >= 0 else None)
        at += max(n, 0)
    return rows


def view_numpy(arrays, dtype, shape, offset):
    a = forms.ndarray(arrays, dtype, shape, offset)
    a.flags.writeable = False
    return a


class Copies:
    """The memory of arrays in an argument. A slice of it is a read-only copy."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __getitem__(self, part):
        return memoryview(bytes(self.arrays[part]))


def of_copies(view):
    return lambda arrays, *form: view(Copies(arrays), *form)


VIEWS = {forms.VIEW: view_array, forms.NUMPY_VIEW: view_numpy, forms.ROWS_VIEW: view_rows}
BUILDERS = dict(forms.BUILDERS)  # for forms in shared values, whose arrays stay in the mapped memory
BUILDERS.update(VIEWS)
forms.BUILDERS.update({form: of_copies(view) for form, view in VIEWS.items()})
forms.BUILDERS[forms.SHARED] = lambda arrays, key: find(key)
