"""Frames to the pool, and spans of the arena for large results."""

import os
import struct
import threading
import time

from concert.imports import private
from concert.values import SIZES

os, struct, threading, time = map(private, (os, struct, threading, time))

RING_AT, RING = 12288, 256 << 10
MAX_LIST, LIST_SIZE = 1024, 32 << 10  # the maximum number of results in the list, and the maximum of their bytes
SIZES_AT, LIST_AT = RING_AT + RING, RING_AT + RING + 2 * MAX_LIST  # the sizes of the results, and the list
MAX_LISTED = 1024  # maximum size in bytes of a result in the list
IN_USE = 256  # a bit of the word LIST_OF
WRITTEN, BASE, COPIED, GATE_AT, LIST_OF, SLOTS_AT, SLOTS = 1, 2, 3, 4, 5, 512, 1024  # words of the journal
RESULT_LIST = struct.Struct("<IBIIqBH")
GATHER_TIME = 500_000  # nanoseconds
MAX_GATHERED = RING // 4


class Results:
    """Writes frames to the pool.

        frame -> ring of the journal -> pipe, many frames in one write

    A write to the pipe costs more than a small task. So this class collects frames in the ring for GATHER_TIME. If
    this process dies, the pool reads the frames from the ring. If there is no journal, this class collects frames
    in this process, but only until the next call begins."""

    def __init__(self, fd, journal):
        self.fd = fd
        self.journal = memoryview(journal) if journal else None
        self.words = self.journal.cast("Q") if journal else None
        self.marks = self.journal.cast("H") if journal else None  # for changing only the number of a call in a slot
        self.list = self.ints = self.floats = self.sizes = None
        self.stream = journal  # the memory to which results of the list are written: the list is at the end of the journal
        if journal:
            self.sizes = self.journal[SIZES_AT:LIST_AT].cast("H")
            self.list = self.journal[LIST_AT : LIST_AT + LIST_SIZE]
            self.ints, self.floats = self.list.cast("q"), self.list.cast("d")
        self.lock = threading.Lock()
        self.buf = []  # without a journal: the frames that are not in the pipe
        self.written = 0  # total size of all frames
        self.flushed = 0  # total size of the frames that are in the pipe
        self.last = 0  # time of the last write of an outcome to the pipe
        # The list, while it is open:
        self.mark = None  # the index in marks of the slot of the frame; None if the list is not open
        self.seq = self.kind = 0  # the number of the frame, and the kind of the results
        self.size = None  # the size of each result, or None if sizes has the sizes
        self.sent = 0  # number of calls of the frame whose outcomes are already in frames to the pool
        self.sent_size = 0  # the offset in the list after the results of these calls
        self.begun = 0  # the time up to which the run times of these calls are counted
        self.pace = 0  # the estimated run time of a call, used when its end was not measured

    def detach(self):
        """Makes a forked child unable to write frames, because the pool could not distinguish them from frames of
        the worker."""
        self.fd = -1
        self.lock = threading.Lock()  # a new lock, because another thread may have held the old lock at the fork
        try:
            if self.words is not None:
                self.words.release()
                self.marks.release()
                for view in (self.ints, self.floats, self.sizes, self.list):
                    view.release()
                self.journal.release()
        except BufferError:
            pass  # another thread used the memory at the time of the fork
        self.words = self.marks = self.ints = self.floats = self.sizes = self.list = self.journal = self.mark = None

    def put(self, kind, *parts):
        """Writes a frame to the pipe at once. The arguments are the parts of the frame."""
        head = struct.pack("<IB", 1 + sum(map(len, parts)), kind)
        with self.lock:
            self.add_locked((head,) + parts)
            self.flush_locked()

    def outcome(self, now, *frame):
        """Adds the frame of an outcome. The arguments are the parts of the frame. Returns True if all frames are in
        the pipe."""
        with self.lock:
            at = self.written % RING
            end = at + len(frame[0])
            if len(frame) == 1 and end <= RING and self.journal is not None:  # does the same as add_locked, but faster
                self.journal[RING_AT + at : RING_AT + end] = frame[0]
                self.words[WRITTEN] = self.written = self.written + end - at
            else:
                self.add_locked(frame)
            if now - self.last < GATHER_TIME and self.written - self.flushed < MAX_GATHERED:
                return False
            self.last = now
            self.flush_locked()
            return True

    # The list of the journal; see the module lists.

    def open(self, seq, kind, first, mark, begun):
        """Begins to use the list for results of this kind. The first result is of the call with the index first. If
        the list is already open, the caller must have collected the results of the earlier calls."""
        with self.lock:
            self.seq, self.kind, self.sent, self.mark, self.begun = seq, kind, first, mark, begun
            self.size, self.sent_size = SIZES.get(kind), 0
            self.words[LIST_OF] = seq << 32 | first << 16 | IN_USE | kind
            self.stream.seek(LIST_AT)

    def close(self):
        with self.lock:
            self.words[LIST_OF] = 0
            self.mark = None

    def is_due(self, now):
        """Returns whether the results in the list should be written to the pipe."""
        return now - self.last >= GATHER_TIME

    def collect(self, end, now=None):
        """Adds a frame with the results of the list before the index end. The parameter now is the current time, or
        None. If it is not None, and the last write to the pipe was long ago, collect writes all frames to the pipe
        and returns True."""
        with self.lock:
            self.collect_locked(end, now)
            if now is None or not self.is_due(now):
                return False
            self.last = now
            self.flush_locked()
            return True

    def collect_ended(self):
        """Adds a frame with the results of the list. The runner continues in the meantime, so only the mark says
        which calls have ended. The caller must hold the lock of the worker. Otherwise a frame of a progress could
        come too late."""
        with self.lock:
            if self.mark is not None:
                self.collect_locked(self.marks[self.mark] - 1, None)

    def collect_before(self, index):
        """Prepares a frame about the call with this index. If the list is open, adds a frame with the results
        before the index. Returns False if the outcome of the call is already in a frame, or if no call has begun,
        because between two calls, the mark still names the earlier call. The caller must hold the lock of the
        worker."""
        with self.lock:
            if self.mark is None:
                return True
            self.collect_locked(index, None)
            return index == self.sent

    def flush(self):
        """Writes to the pipe all frames that are not in the pipe yet. Returns False if there was no such frame."""
        with self.lock:
            if self.written == self.flushed:
                return False
            self.flush_locked()
            return True

    # The caller of the following methods holds the lock.

    def collect_locked(self, end, now):
        first, n = self.sent, end - self.sent
        if n <= 0:
            return
        if now is None:
            now = min(time.perf_counter_ns(), self.begun + n * self.pace)  # the current call may have begun long ago
        sizes, begin = b"", self.sent_size
        if self.size is not None:
            size = n * self.size
        else:
            sizes = self.journal[SIZES_AT + 2 * first : SIZES_AT + 2 * end]
            size = sum(self.sizes[first:end].tolist())
        head = RESULT_LIST.pack(20 + len(sizes) + size, ord("A"), self.seq, first, max(0, now - self.begun), self.kind, n)
        self.add_locked((head, sizes, self.list[begin : begin + size]))
        self.sent, self.sent_size, self.begun = end, begin + size, now

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
        """Frees the spans whose results the pool has copied. Returns the offset of a new span of n bytes, or None
        if there is no space."""
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
