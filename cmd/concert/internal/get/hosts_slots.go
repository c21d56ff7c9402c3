package get

import (
	"context"
	"slices"
	"time"
)

// grantLocked gives a free slot to a file. It reports false if there is no free
// slot, or no file that may use it.
func (s *hosts) grantLocked() bool {
	if s.stopped != nil {
		return false
	}
	start, resume := s.starting.first(), s.resuming.first()
	if s.started >= s.width() {
		start = nil
	}
	if start == nil && resume == nil {
		return false
	}
	if s.counting >= s.jobs || len(s.holders) >= maxSilent*s.jobs {
		s.lookLater()
		return false
	}
	if resume != nil && (start == nil || resume.slots <= start.slots) {
		w := resume.resume[0]
		resume.resume = resume.resume[1:]
		s.holdLocked(w.file, resume)
		w.ready <- nil
		return true
	}
	f := s.startLocked(start)
	if start.isAway() && start.mayTry() {
		start.probe, f.probing = f, start
	}
	s.holdLocked(f, start)
	s.granted = append(s.granted, f)
	return true
}

// holdLocked makes a file hold a slot of a host.
func (s *hosts) holdLocked(f *file, h *host) {
	f.slot, f.replied, f.seen, f.moved = h, false, f.steps.Load(), time.Now()
	f.silent.Store(false)
	h.slots++
	s.counting++
	s.holders[f] = struct{}{}
	s.placeLocked(h)
}

// freeLocked makes a file release its slot, if it holds one.
func (s *hosts) freeLocked(f *file) {
	h := f.slot
	if h == nil {
		return
	}
	f.slot = nil
	h.slots--
	if !f.silent.Load() {
		s.counting--
	}
	delete(s.holders, f)
	s.placeLocked(h)
}

// acquire waits until an attempt of a file may start at a host. It returns a
// function, which the caller must call at the end of the attempt.
func (s *hosts) acquire(ctx context.Context, f *file, name string) (release func(error), err error) {
	w, err := s.ask(f, name)
	if err != nil {
		return nil, err
	}
	if w != nil {
		select {
		case err = <-w.ready:
		case <-ctx.Done():
			s.forget(w)
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	return func(err error) { s.release(ctx, f, err) }, nil
}

// ask makes a file hold a slot of a host, or returns a waiter for it.
func (s *hosts) ask(f *file, name string) (*waiter, error) {
	s.mu.Lock()
	defer s.unlock()
	h := s.hostLocked(name)
	f.asked = true
	switch {
	case s.stopped != nil:
		s.freeLocked(f)
		return nil, s.stopped
	case !h.isAway() || len(f.mirrors()) > 0 || h.probe == f || f.slot == h && !f.reads:
	case !h.mayTry() || h.dead:
		s.freeLocked(f)
		f.refused = true
		return nil, errAway
	default:
		h.probe, f.probing = f, h
		s.placeLocked(h)
	}
	if f.slot == h {
		return nil, nil
	}
	s.freeLocked(f)
	w := &waiter{f, h, make(chan error, 1)}
	h.resume = append(h.resume, w)
	s.placeLocked(h)
	return w, nil
}

// readsFile records that the download of a file, before its first attempt,
// reads the existing bytes of the file, or waits for another download. The
// first attempt may come late, or never. So if the file is the probe of its
// host, it no longer is, and another file can become the probe.
func (s *hosts) readsFile(f *file) {
	s.mu.Lock()
	defer s.unlock()
	if !f.asked {
		f.reads = true
		s.endProbeLocked(f)
	}
}

// endProbeLocked ends the probe of a host if the given file is the probe.
func (s *hosts) endProbeLocked(f *file) {
	if h := f.probing; h != nil && h.probe == f {
		h.probe = nil
		s.placeLocked(h)
	}
	f.probing = nil
}

// forget removes a waiter whose context has ended.
func (s *hosts) forget(w *waiter) {
	s.mu.Lock()
	defer s.unlock()
	s.freeLocked(w.file) // the slot may have been granted in the meantime
	h := w.host
	if i := slices.Index(h.resume, w); i >= 0 {
		h.resume = slices.Delete(h.resume, i, i+1)
		s.placeLocked(h)
	}
}

// release ends an attempt with its error.
func (s *hosts) release(ctx context.Context, f *file, err error) {
	s.mu.Lock()
	defer s.unlock()
	h := f.slot
	if h == nil {
		return
	}
	s.freeLocked(f)
	switch {
	case isUnreachable(err):
		s.unreachableLocked(f, h, err)
	case ctx.Err() == nil:
		s.answeredLocked(h)
	}
}

// replied records that an attempt has a reply.
func (s *hosts) replied(f *file) {
	s.arrived(f)
	s.mu.Lock()
	defer s.unlock()
	f.replied = true
	if f.slot != nil && f.slot.isAway() {
		s.answeredLocked(f.slot)
	}
}
