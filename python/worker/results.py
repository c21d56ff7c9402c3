"""What goes to the pool: frames, and places for large results."""

import os
import struct
import threading

from concert.imports import private

os, struct, threading = map(private, (os, struct, threading))

RING_AT, RING = 12288, 256 << 10
WRITTEN, BASE, TAKEN = 1, 2, 3  # words of the journal
GATHER = 500_000  # nanoseconds
ENOUGH = RING // 4


class Results:
    """Frames to the pool.

        frame -> ring of the journal -> pipe, many at a time

    A write to the pipe costs more than a small task, so the outcomes of those gather for a
    moment, in the ring, where they outlive this process. Without a journal they gather in
    memory, until the next call begins."""

    def __init__(self, fd, journal):
        self.fd = fd
        self.journal = memoryview(journal) if journal else None
        self.words = self.journal.cast("Q") if journal else None
        self.lock = threading.Lock()
        self.buf = []  # without a journal: what is not in the pipe
        self.written = 0  # bytes, ever
        self.flushed = 0  # of these, in the pipe
        self.last = 0  # when the last outcome was written to the pipe

    def abandon(self):
        """Is called in a child of the process, whose frames would be taken for the worker's."""
        self.fd = -1
        self.lock = threading.Lock()  # another thread may have held it
        try:
            if self.words is not None:
                self.words.release()
                self.journal.release()
        except BufferError:
            pass  # another thread was using it
        self.words = self.journal = None

    def put(self, kind, *parts):
        """Says something at once."""
        head = struct.pack("<IB", 1 + sum(map(len, parts)), kind)
        with self.lock:
            self.add((head,) + parts)
            self.flush()

    def outcome(self, now, *frame):
        """Adds the frame of a call that has ended, in parts; True if all is in the pipe."""
        with self.lock:
            at = self.written % RING
            end = at + len(frame[0])
            if len(frame) == 1 and end <= RING and self.journal is not None:  # as add has it, and quicker
                self.journal[RING_AT + at : RING_AT + end] = frame[0]
                self.words[WRITTEN] = self.written = self.written + end - at
            else:
                self.add(frame)
            if now - self.last < GATHER and self.written - self.flushed < ENOUGH:
                return False
            self.last = now
            self.flush()
            return True

    def say(self):
        """Puts what is not there yet into the pipe; False if all was."""
        with self.lock:
            if self.written == self.flushed:
                return False
            self.flush()
            return True

    # The caller holds the lock of what is below.

    def add(self, frame):
        size = sum(map(len, frame))
        if size > RING // 2:
            self.flush()
            for p in frame:
                self.write(p)
            self.written += size
            self.flushed = self.written
            if self.journal is not None:
                self.words[BASE] = self.words[WRITTEN] = self.written
            return
        if self.journal is None:
            self.buf += frame
            self.written += size
            return
        if self.written - self.flushed + size > RING:
            self.flush()
        at = self.written % RING
        for p in frame:
            end = at + len(p)
            if end <= RING:
                self.journal[RING_AT + at : RING_AT + end] = p
            else:
                view = memoryview(p)
                self.journal[RING_AT + at : RING_AT + RING] = view[: RING - at]
                self.journal[RING_AT : RING_AT + end - RING] = view[RING - at :]
            at = end % RING
        self.written += size
        self.words[WRITTEN] = self.written  # the frame is complete

    def flush(self):
        if self.journal is None:
            self.write(b"".join(self.buf))
            self.buf = []
        elif self.written != self.flushed:
            begin, end = self.flushed % RING, self.written % RING
            if begin < end:
                self.write(self.journal[RING_AT + begin : RING_AT + end])
            else:
                self.write(self.journal[RING_AT + begin : RING_AT + RING])
                self.write(self.journal[RING_AT : RING_AT + end])
        self.flushed = self.written

    def write(self, b):
        view = memoryview(b).cast("B")
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError:
            os._exit(113)  # the pool has gone


class Places:
    """Places in the half of the arena where results go, used in turn."""

    def __init__(self, size, words):
        self.size = size
        self.words = words
        self.taken = []  # (offset, length), the oldest first
        self.count = 0

    def take(self, n):
        del self.taken[: len(self.taken) - (self.count - self.words[TAKEN])]
        room = (n + 63) // 64 * 64
        start, end = 0, self.size
        if self.taken:
            first, last = self.taken[0], self.taken[-1]
            start = last[0] + last[1]
            if last[0] < first[0]:
                end = first[0]
            elif end - start < room:
                start, end = 0, first[0]
        if end - start < room:
            return None
        self.taken.append((start, room))
        self.count += 1
        return start
