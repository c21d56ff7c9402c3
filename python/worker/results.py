"""Frames to the pool, and spans of the arena for large results."""

import os
import struct
import threading

from concert.imports import private

os, struct, threading = map(private, (os, struct, threading))

RING_AT, RING = 12288, 256 << 10
WRITTEN, BASE, COPIED = 1, 2, 3  # words of the journal
GATHER_TIME = 500_000  # nanoseconds
MAX_GATHERED = RING // 4


class Results:
    """Writes frames to the pool.

        frame -> ring of the journal -> pipe, many frames in one write

    A write to the pipe costs more than a small task. So frames are collected in the ring for GATHER_TIME. If this
    process dies, the pool reads the frames from the ring. Without a journal, frames are collected in this
    process, at most until the next call begins."""

    def __init__(self, fd, journal):
        self.fd = fd
        self.journal = memoryview(journal) if journal else None
        self.words = self.journal.cast("Q") if journal else None
        self.marks = self.journal.cast("H") if journal else None  # to change only the number of a call in a slot
        self.lock = threading.Lock()
        self.buf = []  # without a journal: the frames that are not in the pipe
        self.written = 0  # total size of all frames
        self.flushed = 0  # total size of the frames that are in the pipe
        self.last = 0  # time of the last write of an outcome to the pipe

    def detach(self):
        """Makes a forked child unable to write frames: the pool would take them for frames of the worker."""
        self.fd = -1
        self.lock = threading.Lock()  # another thread may have held it
        try:
            if self.words is not None:
                self.words.release()
                self.marks.release()
                self.journal.release()
        except BufferError:
            pass  # another thread was using the memory at the fork
        self.words = self.marks = self.journal = None

    def put(self, kind, *parts):
        """Writes a frame, given in parts, to the pipe at once."""
        head = struct.pack("<IB", 1 + sum(map(len, parts)), kind)
        with self.lock:
            self.add_locked((head,) + parts)
            self.flush_locked()

    def outcome(self, now, *frame):
        """Adds the frame of an outcome, given in parts. Returns True if all frames are in the pipe."""
        with self.lock:
            at = self.written % RING
            end = at + len(frame[0])
            if len(frame) == 1 and end <= RING and self.journal is not None:  # a faster add_locked
                self.journal[RING_AT + at : RING_AT + end] = frame[0]
                self.words[WRITTEN] = self.written = self.written + end - at
            else:
                self.add_locked(frame)
            if now - self.last < GATHER_TIME and self.written - self.flushed < MAX_GATHERED:
                return False
            self.last = now
            self.flush_locked()
            return True

    def flush(self):
        """Writes the frames that are not in the pipe yet to the pipe. Returns False if there were none."""
        with self.lock:
            if self.written == self.flushed:
                return False
            self.flush_locked()
            return True

    # The caller of the following methods holds the lock.

    def add_locked(self, frame):
        size = sum(map(len, frame))
        if size > RING // 2:
            self.flush_locked()
            for p in frame:
                self.write_locked(p)
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
            self.flush_locked()
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

    def flush_locked(self):
        if self.journal is None:
            self.write_locked(b"".join(self.buf))
            self.buf = []
        elif self.written != self.flushed:
            begin, end = self.flushed % RING, self.written % RING
            if begin < end:
                self.write_locked(self.journal[RING_AT + begin : RING_AT + end])
            else:
                self.write_locked(self.journal[RING_AT + begin : RING_AT + RING])
                self.write_locked(self.journal[RING_AT : RING_AT + end])
        self.flushed = self.written

    def write_locked(self, b):
        view = memoryview(b).cast("B")
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError:
            os._exit(113)  # the pool has ended


class Allocator:
    """Allocates spans in the half of the arena for results. Spans are freed in the order of allocation."""

    def __init__(self, size, words):
        self.size = size
        self.words = words
        self.spans = []  # (offset, length), the oldest first
        self.count = 0  # total number of allocated spans

    def allocate(self, n):
        """Frees the spans that the pool has copied. Returns the offset of a span of n bytes, or None."""
        del self.spans[: len(self.spans) - (self.count - self.words[COPIED])]
        size = (n + 63) // 64 * 64
        start, end = 0, self.size
        if self.spans:
            first, last = self.spans[0], self.spans[-1]
            start = last[0] + last[1]
            if last[0] < first[0]:
                end = first[0]
            elif end - start < size:
                start, end = 0, first[0]
        if end - start < size:
            return None
        self.spans.append((start, size))
        self.count += 1
        return start
