"""Gives the memory of large results to the pool. The pool maps this memory, and makes no copy.

    result -> sealed file in memory -> socket of shared values -> pool

The type of a frame of calls says whether the pool wants such results. Nothing can change a sealed file, so the pool
can check the result without a copy. If the file cannot be made, the result is sent in the usual way."""

import os
import sys

from concert.imports import own, private

os = private(os)

MIN_MAPPED = 256 << 10  # smaller results are copied, because the copy takes less time
KINDS = frozenset([1] + list(range(3, 12)))  # bytes, and the slices of numbers; see values.py
MAPPED = 128  # this bit of the kind says that the result is for a handle
ALLOW_SEALING = 2  # for memfd_create
ADD_SEALS, SEALS = 1033, 1 | 2 | 4 | 8  # for fcntl, which has names for them since Python 3.9


def can_give(socket):
    """Returns whether this process can give memory to the pool."""
    return socket is not None and hasattr(os, "memfd_create") and sys.byteorder == "little"


def give(socket, value):
    """Writes the bytes of a result to a file in memory, and sends the file to the pool. Returns False if this is
    not possible. If it returns True, the caller must next send the frame of the result."""
    fd = -1
    try:
        fcntl, sockets = own("fcntl"), own("_socket")
        fd = os.memfd_create("concert-result", os.MFD_CLOEXEC | ALLOW_SEALING)
        view = memoryview(value).cast("B")
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, ADD_SEALS, SEALS)
        s = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET, 0, socket)
        try:
            s.setblocking(True)
            s.sendmsg([b"\0"], [(sockets.SOL_SOCKET, sockets.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))])
        finally:
            s.detach()
        return True
    except Exception:  # for example, the system has no memory for the file, or a sandbox does not permit it
        return False
    finally:
        if fd >= 0:
            os.close(fd)
