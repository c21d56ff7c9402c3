package processes

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// # Shared values
//
// A pool stores a shared value once, in a file in memory, and each worker maps
// this file. See executor/shared.go for the handles and the references.
//
//	Pool.Share --> sealed file --+
//	                             |  dispatch of each worker:
//	                             +--> frame Share    in the pipe of tasks
//	                             +--> the file       in the socket of shared values
//
//	Release -----------------------> frame Unshare   in the pipe of tasks
//
// The frames are in the pipe of tasks, so their order relative to calls is the
// order in which a worker handles them:
//
//  1. Share adds the value to Pool.shared, under mu.
//  2. Before dispatch adds calls to its frames, it adds the Shares that its
//     worker lacks, in the same critical section. So a worker has each value
//     before a call that refers to it.
//  3. Release removes the value, and adds its ID to the field unshare of each
//     worker that has the Share. dispatch adds the Unshares to its frames in
//     the same way. Workers that have no calls are woken, so that the memory
//     becomes free.
//
// A call that was encoded before Release, but is added to the frames of a
// worker after it, fails: see Batch.SharedClosed. Release marks the value as
// closed before it acquires mu, so step 2 sends no such call.
//
// dispatch writes a Share before it sends the file, so a worker that has not
// read the frames can always continue: it waits for one file, which dispatch is
// about to send. If the worker does not run, dispatch waits until the worker is
// dead, as for a full pipe.
//
// A value of at most shm.MaxInline bytes is in the frame itself. So is any
// value if the system has no sealed files.

// sharedValue is a value that the pool has stored.
type sharedValue struct {
	id     executor.SharedID
	number uint64 // values have increasing numbers
	kind   byte
	size   int
	bytes  []byte   // the value, if file is nil
	file   *os.File // the value, or nil

	// Guarded by the pool's mu:
	released bool
	sending  int // number of frames that dispatch has added and not sent
}

// Share implements [executor.Sharer].
func (p *Pool) Share(_ context.Context, encode func() (executor.Encoded, error)) (*executor.Stored, error) {
	p.made()
	if p.opts.Command != nil {
		return nil, fmt.Errorf("processes: workers of Options.Command do not support shared values: %w", errors.ErrUnsupported)
	}
	value, err := encode()
	if err != nil {
		return nil, err
	}
	s := &sharedValue{kind: value.Kind, size: len(value.Bytes), bytes: value.Bytes}
	rand.Read(s.id[:])
	if s.size > shm.MaxInline {
		file, err := p.config.sealMemory("concert-shared", s.bytes)
		switch {
		case err == nil:
			s.file, s.bytes = file, nil
		case !errors.Is(err, errors.ErrUnsupported):
			return nil, fmt.Errorf("processes: %w", err)
		case s.size > frame.MaxPayload:
			return nil, fmt.Errorf("%w: a shared value has %d bytes, more than %d", ErrTooLarge, s.size, frame.MaxPayload)
		}
	} else {
		s.bytes = bytes.Clone(s.bytes)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed != nil {
		s.closeIfUnusedLocked(true)
		return nil, p.closed
	}
	p.lastShared++
	s.number = p.lastShared
	p.shared = append(p.shared, s)
	return &executor.Stored{ID: s.id, Group: p.group, Release: func() { p.release(s) }}, nil
}

// release removes a value from the pool and its workers.
func (p *Pool) release(s *sharedValue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.shared, s)
	if i < 0 {
		return // the pool has ended
	}
	p.shared = slices.Delete(p.shared, i, i+1)
	s.closeIfUnusedLocked(true)
	for w := range p.all {
		if w.sharedUpTo >= s.number {
			w.unshare = append(w.unshare, s.id)
			if w.asleep {
				w.wakeLocked()
			}
		}
	}
}

// releaseAllLocked removes all values from the pool, whose workers have ended.
func (p *Pool) releaseAllLocked() {
	for _, s := range p.shared {
		s.closeIfUnusedLocked(true)
	}
	p.shared = nil
}

// closeIfUnusedLocked closes the file of a released value, unless dispatch is
// about to send the file.
func (s *sharedValue) closeIfUnusedLocked(released bool) {
	s.released = s.released || released
	if s.released && s.sending == 0 && s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// lacksSharedLocked reports whether there are shared values, or released ones,
// of which dispatch has not informed the worker.
func (w *worker) lacksSharedLocked() bool {
	return w.sharedUpTo != w.pool.lastShared || len(w.unshare) > 0
}

// addSharedLocked appends to b the Share of each value that the worker lacks,
// and the Unshare of each value that was released.
func (p *Pool) addSharedLocked(w *worker, b *outgoing) {
	for _, id := range w.unshare {
		b.buf = frame.AppendUnshare(b.buf, id)
	}
	w.unshare = nil
	first, _ := slices.BinarySearchFunc(p.shared, w.sharedUpTo+1, func(s *sharedValue, number uint64) int { return int(int64(s.number - number)) })
	for _, s := range p.shared[first:] {
		s.sending++
		b.addShared(s)
	}
	w.sharedUpTo = p.lastShared
}

// addShared adds a Share.
func (b *outgoing) addShared(s *sharedValue) {
	p := frame.Payload{Encoded: executor.Encoded{Kind: s.kind}}
	switch {
	case s.file != nil:
		p.Shared, p.Span.Length = true, uint64(s.size)
		b.buf = frame.AppendShare(b.buf, s.id, p, 0)
	case s.size > shm.MaxInline:
		b.buf = frame.AppendShare(b.buf, s.id, p, s.size)
	default:
		p.Bytes = s.bytes
		b.buf = frame.AppendShare(b.buf, s.id, p, 0)
		s.sending--
		return
	}
	b.inPipe = append(b.inPipe, pipeArg{after: len(b.buf), bytes: s.bytes, shared: s})
}

// sentShared marks the Shares of b as sent.
func (p *Pool) sentShared(b *outgoing) {
	if !slices.ContainsFunc(b.inPipe, func(a pipeArg) bool { return a.shared != nil }) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range b.inPipe {
		if a.shared != nil {
			a.shared.sending--
			a.shared.closeIfUnusedLocked(false)
		}
	}
}

// refuseSharedLocked settles the calls of a range if their arguments refer to a
// closed shared value, and otherwise returns them. It releases mu while it
// calls Settle.
func (p *Pool) refuseSharedLocked(s callRange) callRange {
	if s.len() == 0 {
		return s
	}
	err := s.batch.SharedClosed()
	if err == nil {
		return s
	}
	p.mu.Unlock()
	for i := s.from; i < s.to; i++ {
		s.batch.Settle(i, -1, executor.Encoded{}, err)
	}
	p.mu.Lock()
	p.unsettled -= s.len()
	return callRange{}
}

// refuseReturnedLocked removes the first range of p.returned, and settles its
// calls, if their arguments refer to a closed shared value. It reports whether
// it has done so. It releases mu while it calls Settle.
func (p *Pool) refuseReturnedLocked() bool {
	s := p.returned[0]
	if s.batch.SharedClosed() == nil {
		return false
	}
	p.unwatchLocked(s.submitter)
	p.returned = slices.Delete(p.returned, 0, 1)
	p.refuseSharedLocked(s)
	p.checkEndLocked()
	return true
}
