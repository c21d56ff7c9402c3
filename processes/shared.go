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
// The calls are in the same pipe, and a worker handles its frames in the order
// in which they were written. The steps:
//
//  1. Share adds the value to Pool.shared, under mu.
//  2. Before dispatch adds calls to its frames, it adds the Shares of the values
//     that these calls use and the worker lacks, in the same critical section.
//     So a worker has each value before a call that refers to it, and gets no
//     value that its calls do not use.
//  3. Release removes the value, and adds its ID to worker.unshare of each
//     worker that has the Share. dispatch adds the Unshares to its frames
//     before further calls. Release wakes workers that have no calls, so
//     that they free the memory.
//
// A call fails if it was encoded before Release, and would be added to the
// frames of a worker after Release: see Batch.SharedClosed. Release marks
// the value as closed before it acquires mu, so step 2 sends no such call.
//
// dispatch writes a Share before it sends the file of this Share. So when a
// worker waits for a file, dispatch is about to send this file, and the two
// never wait for each other. If the process of the worker does not run,
// dispatch waits until the worker is dead, as for a full pipe.
//
// A value of at most shm.MaxInline bytes is in the frame itself. If the system
// has no sealed files, all values are in the frames. If a value in a frame has
// more than maxCopiedShare bytes, dispatch writes it to the pipe without the
// lock.

// sharedValue is a value that the pool has stored.
type sharedValue struct {
	id    executor.SharedID
	kind  byte
	size  int
	bytes []byte   // the value, if file is nil
	file  *os.File // the value, or nil

	// Guarded by the pool's mu:
	users    int // number of executor.Stored of the value that were not released
	released bool
	sending  int // number of frames that dispatch has added and not sent
}

// Share implements [executor.Sharer].
func (p *Pool) Share(_ context.Context, encode func(executor.SharedCodec) (executor.Encoded, error)) (*executor.Stored, error) {
	if err := p.checkShares(); err != nil {
		return nil, err
	}
	value, err := encode(p.opts.SharedCodec)
	if err != nil {
		return nil, err
	}
	var id executor.SharedID
	rand.Read(id[:])
	return p.store(id, value)
}

// RelayShared implements [executor.SharedRelayer].
func (p *Pool) RelayShared(_ context.Context, id executor.SharedID, value executor.Encoded) (*executor.Stored, error) {
	if err := p.checkShares(); err != nil {
		return nil, err
	}
	if p.opts.CheckShared != nil {
		if err := p.opts.CheckShared(value); err != nil {
			return nil, err
		}
	}
	return p.store(id, value)
}

// checkShares returns an error if the workers receive no shared values.
func (p *Pool) checkShares() error {
	p.made()
	if p.opts.Command != nil && p.opts.SharedCodec == nil {
		return fmt.Errorf("processes: workers of Options.Command receive no shared values, unless Options.SharedCodec is set: %w", errors.ErrUnsupported)
	}
	return nil
}

// store stores a value under an ID. If the pool has a value with this ID, store
// adds a user to that value.
func (p *Pool) store(id executor.SharedID, value executor.Encoded) (*executor.Stored, error) {
	s := &sharedValue{id: id, kind: value.Kind, size: len(value.Bytes), bytes: value.Bytes}
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
	if same := p.shared[id]; same != nil {
		s.closeIfUnusedLocked(true)
		s = same
	} else {
		if p.shared == nil {
			p.shared = make(map[executor.SharedID]*sharedValue)
		}
		p.shared[id] = s
	}
	s.users++
	return &executor.Stored{ID: id, Group: p.group, Release: func() { p.release(s) }}, nil
}

// release removes a user of a value. With the last user, it removes the value
// from the pool and its workers.
func (p *Pool) release(s *sharedValue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared[s.id] == nil {
		return // the pool has ended
	}
	if s.users--; s.users > 0 {
		return
	}
	delete(p.shared, s.id)
	s.closeIfUnusedLocked(true)
	for w := range p.all {
		if w.shared[s] {
			delete(w.shared, s)
			w.unshare = append(w.unshare, s.id)
			if w.asleep {
				w.wakeLocked()
			}
		}
	}
}

// releaseAllLocked removes all values from the pool. The workers of the pool
// have ended.
func (p *Pool) releaseAllLocked() {
	for _, s := range p.shared {
		s.closeIfUnusedLocked(true)
	}
	p.shared = nil
}

// closeIfUnusedLocked closes the file if the value is released, unless
// dispatch is about to send the file. If the parameter released is true, it
// first marks the value as released.
func (s *sharedValue) closeIfUnusedLocked(released bool) {
	s.released = s.released || released
	if s.released && s.sending == 0 && s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// addUnsharesLocked appends to b the Unshare of each released value that the
// worker has.
func (w *worker) addUnsharesLocked(b *outgoing) {
	for _, id := range w.unshare {
		b.buf = frame.AppendUnshare(b.buf, id)
	}
	w.unshare = nil
}

// addSharesLocked appends to b the Shares of the values that the calls of a
// batch use and the worker lacks. The caller has checked in the same critical
// section that the values are not released.
func (p *Pool) addSharesLocked(w *worker, b *outgoing, batch *executor.Batch) {
	for stored := range batch.Shared {
		s := p.shared[stored.ID]
		if s == nil || w.shared[s] {
			continue
		}
		if w.shared == nil {
			w.shared = make(map[*sharedValue]bool)
		}
		w.shared[s] = true
		b.addShare(s)
	}
}

// maxCopiedShare is the maximum size of a shared value that addShare copies.
// A larger value is not copied: dispatch writes it to the pipe separately,
// without the pool's lock.
const maxCopiedShare = 512

// addShare appends the Share of a value to b.
func (b *outgoing) addShare(s *sharedValue) {
	p := frame.Payload{Encoded: executor.Encoded{Kind: s.kind}}
	switch {
	case s.file != nil:
		p.Shared, p.Span.Length = true, uint64(s.size)
		b.buf = frame.AppendShare(b.buf, s.id, p, 0)
	case s.size > maxCopiedShare:
		b.buf = frame.AppendShare(b.buf, s.id, p, s.size)
	default:
		p.Bytes = s.bytes
		b.buf = frame.AppendShare(b.buf, s.id, p, 0)
		return
	}
	s.sending++
	b.shares++
	b.inPipe = append(b.inPipe, pipeArg{after: len(b.buf), bytes: s.bytes, shared: s})
}

// sentShared marks the Shares of b as sent.
func (p *Pool) sentShared(b *outgoing) {
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
// closed shared value, and otherwise returns them. The error of a call that ran
// before includes the error of that run. refuseSharedLocked releases mu while
// it calls Settle.
func (p *Pool) refuseSharedLocked(s callRange) callRange {
	err := s.batch.SharedClosed()
	if err == nil {
		return s
	}
	p.mu.Unlock()
	worker := -1
	if s.died != nil { // the call ran before
		worker, err = s.died.Worker, errors.Join(s.died, err)
	}
	for i := s.from; i < s.to; i++ {
		s.batch.Settle(i, worker, executor.Encoded{}, err)
	}
	p.mu.Lock()
	p.unsettled -= s.len()
	return callRange{}
}

// refuseReturnedLocked handles the first range of p.returned if the
// arguments of its calls refer to a closed shared value: it removes the
// range and settles the calls. It reports whether it has done so. It
// releases mu while it calls Settle.
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
